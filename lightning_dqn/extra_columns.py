"""Columns that rows carry beside their own: declared once, by name, shape and type.

A source of rows that sends more than there is in every row, as the recurrent state of the policy
that acted, declares it, and the ring keeps it and gives it back.

Shapes: T time, E environments.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

DTYPES = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")
"""What a column may hold, as both numpy and torch call it."""


@dataclass(frozen=True)
class ExtraColumn:
    """What a column holds in each row.

    Args:
        shape: of one row's; () for a number.
        dtype: one of :data:`DTYPES`.
        is_learned_from: given back with the transitions that start in a row, and with sequences;
            else it is kept for samplers alone, which read it from the ring.
    """

    shape: tuple[int, ...] = ()
    dtype: str = "float32"
    is_learned_from: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))
        if not all(isinstance(size, int) and size > 0 for size in self.shape):
            raise ValueError(f"shape={self.shape}: whole numbers above 0, or ()")
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype={self.dtype!r}: choose one of {', '.join(DTYPES)}")

    @property
    def nbytes(self) -> int:
        """Bytes of one row's."""
        return self.zeros(1, 1).nbytes

    def zeros(self, num_times: int, num_envs: int) -> np.ndarray:
        """Return what stands where there is nothing to tell, [T, E, *shape]."""
        return np.zeros((num_times, num_envs, *self.shape), np.dtype(self.dtype))


INITIAL_PRIORITY = "initial_priority"
"""Of the transition that starts in a row, for who samples by priority; below 0: it isn't known."""

NO_PRIORITY = -1.0
"""Where none was computed."""

PRIORITY_COLUMN = ExtraColumn((), "float32", is_learned_from=False)
"""What there is by :data:`INITIAL_PRIORITY`."""

ExtraColumns = Mapping[str, ExtraColumn]
"""Columns by their names."""

NO_COLUMNS: ExtraColumns = {}
"""What most rows carry."""


def zeros(columns: ExtraColumns, num_times: int, num_envs: int) -> dict[str, np.ndarray] | None:
    """Return the extra columns of rows in which nothing happens; None where there are none."""
    if not columns:
        return None
    return {name: column.zeros(num_times, num_envs) for name, column in columns.items()}


def bytes_learned_from(columns: ExtraColumns) -> int:
    """Return the bytes that a transition has of its row's extra columns."""
    return sum(column.nbytes for column in columns.values() if column.is_learned_from)


def check_extra(
    extra: Mapping[str, np.ndarray] | None, columns: ExtraColumns, num_times: int, num_envs: int
) -> None:
    """Refuse what rows [T, E] carry where something else was declared.

    Args:
        extra: their extra columns.
        columns: as declared.
        num_times: T.
        num_envs: E.

    Raises:
        ValueError: naming a column that is missing, was not declared, or has another shape or
            type.
    """
    given = extra or {}
    for name in given:
        if name not in columns:
            raise ValueError(
                f"rows.extra[{name!r}]: the ring was made without it; declare it in extra_columns "
                "of the collection that sends it"
            )
    for name, column in columns.items():
        if name not in given:
            raise ValueError(
                f"rows.extra[{name!r}]: missing, though extra_columns declares it; send zeros "
                "where there is nothing to tell"
            )
        found, shape = given[name], (num_times, num_envs, *column.shape)
        if found.shape != shape or found.dtype != np.dtype(column.dtype):
            raise ValueError(
                f"rows.extra[{name!r}]: {found.dtype}{list(found.shape)}, where extra_columns "
                f"declares {column.dtype}{list(shape)}"
            )
