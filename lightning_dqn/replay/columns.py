"""The rows of the ring as they lie in memory: a column for each of their fields.

Shapes: T time indices of the ring, E environments.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.extra_columns import NO_COLUMNS, ExtraColumns, check_extra
from lightning_dqn.replay.storage import allocate, ring_layout
from lightning_dqn.transitions import Rows


class Columns:
    """Rows by the times at which they were written, counted from the first ever.

    Args:
        spec: shapes and types of the rows.
        num_times: T.
        num_envs: E.
        device: where they lie.
        folder: of a memory-mapped file instead, or None.
        extra_columns: that rows carry.

    Attributes:
        by_name: as ``"reward"`` -> [T * E, ...], by cell.
    """

    def __init__(
        self,
        spec: EnvironmentSpec,
        num_times: int,
        num_envs: int,
        device: torch.device,
        folder: Path | None,
        extra_columns: ExtraColumns = NO_COLUMNS,
    ) -> None:
        self._extra_columns = extra_columns
        self._num_times = num_times
        self._num_envs = num_envs
        self.by_name = {
            name: allocate((num_times * num_envs, *shape), dtype, device, folder)
            for name, (shape, dtype) in ring_layout(spec, extra_columns).items()
        }

    def check(self, rows: Rows) -> None:
        """Refuse rows whose extra columns aren't those that were declared.

        Raises:
            ValueError: naming the column.
        """
        check_extra(rows.extra, self._extra_columns, *rows.action.shape)

    def write(self, begin: int, end: int, rows: Rows) -> None:
        """Write rows to times [begin, end) of the ring, which don't cross its end."""
        cells = slice(begin * self._num_envs, end * self._num_envs)
        for name, column in self.by_name.items():
            is_extra = rows.extra is not None and name in rows.extra
            given = rows.extra[name] if is_extra else getattr(rows, name)  # type: ignore[index]
            values = torch.from_numpy(np.ascontiguousarray(given))
            column[cells] = values.flatten(0, 1).to(column.device, column.dtype)

    def read_times(self, first: int, end: int) -> dict[str, Tensor]:
        """Return the rows of times [first, end), all of them stored.

        Returns:
            Columns [end - first, E, ...]; a view where they don't cross the end of the ring.
        """
        parts = self._parts(first, end)
        return {name: self._joined([c[part] for part in parts]) for name, c in self.by_name.items()}

    def differing(self, columns: Mapping[str, Tensor]) -> list[str]:
        """Return which columns [T, E, ...] by name aren't those here, in name, shape or type."""
        names = columns.keys() | self.by_name.keys()
        return sorted(
            name
            for name in names
            if name not in columns
            or (own := self.by_name.get(name)) is None
            or (columns[name].shape[2:], columns[name].dtype) != (own.shape[1:], own.dtype)
        )

    def write_times(self, first: int, columns: Mapping[str, Tensor]) -> None:
        """Put rows back to where :meth:`read_times` found them."""
        parts = self._parts(first, first + len(columns["action"]))
        for name, column in self.by_name.items():
            values, done = columns[name].flatten(0, 1), 0
            for part in parts:
                count = part.stop - part.start
                column[part].copy_(values[done : done + count])
                done += count

    def _parts(self, first: int, end: int) -> list[slice]:
        """Return the cells of times [first, end), which may cross the end of the ring once."""
        begin, count = first % self._num_times, end - first
        before = min(count, self._num_times - begin)
        spans = [(begin, begin + before), (0, count - before)]
        parts = [slice(a * self._num_envs, b * self._num_envs) for a, b in spans if b > a]
        return parts or [slice(0, 0)]

    def _joined(self, parts: list[Tensor]) -> Tensor:
        """Return cells [M, ...] as [T, E, ...]."""
        cells = parts[0] if len(parts) == 1 else torch.cat(parts)
        return cells.unflatten(0, (-1, self._num_envs))
