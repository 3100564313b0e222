"""The replay ring: every observation stored once, everything else derived when sampling.

Shapes: T time indices of the ring, E environments, U updates, B batch, S stacked frames,
A actions. A cell is one (time, environment) of the ring, numbered time * E + environment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.extra_columns import NO_COLUMNS, ExtraColumns
from lightning_dqn.replay.columns import Columns
from lightning_dqn.replay.gathering import Gathering
from lightning_dqn.replay.reading import Cells, check_discount
from lightning_dqn.replay.starts import Starts
from lightning_dqn.replay.storage import ReplayConfig, check_ring_fits, ring_device, ring_folder
from lightning_dqn.system.seeding import seed_of, set_generator
from lightning_dqn.transitions import NO_ACTION, Rows, Transitions, truncated_where_cut


class ReplayBuffer:
    """A ring over time of the rows of E environments.

    Rows go in with :meth:`extend`, minibatches come out with :meth:`sample`. A row is a start
    if an action was taken there and its successor is stored; every start is equally likely.
    The next observation, the n-step return and its discount, frame stacks and the next legal
    actions are found by index arithmetic on the ring's device, so ``gamma`` and ``n_step`` may
    be changed at any time. Samplers (:mod:`lightning_dqn.replay.samplers`) choose starts
    differently, over the same ring.

    Args:
        spec: shapes and types of the rows.
        num_envs: E.
        config: capacity, and what a transition is.
        device: where the ring is kept if ``config.storage`` is ``"accelerator"``.
        directory: of the memory-mapped file if ``config.directory`` is None.
        seed: of the sampling generator.
        extra_columns: extra columns of the rows, ``rows.extra``.

    Attributes:
        extra_columns: extra columns of the rows.
        gamma: discount of one env step.
        n_step: rewards summed before bootstrapping, or the range (low, high) from which each
            sample draws its own.
        after_write: functions called with the times [begin, end) that were just written; they
            don't cross the end of the ring.
        total_times: times written so far, including overwritten ones.
        newest_read: cells whose transitions were read last, int64[M]; None before.

    Raises:
        ValueError: the ring doesn't fit in memory, or is too short for a transition and a stack;
            the sign of the discount is wrong.
    """

    def __init__(
        self,
        spec: EnvironmentSpec,
        num_envs: int,
        config: ReplayConfig | None = None,
        *,
        device: torch.device | str = "cpu",
        directory: str | Path | None = None,
        seed: int = 0,
        extra_columns: ExtraColumns = NO_COLUMNS,
    ) -> None:
        self.spec = spec
        self.extra_columns = extra_columns
        self.num_envs = num_envs
        self.config = config or ReplayConfig()
        self.gamma = self.config.gamma_at(0)
        self.n_step: int | tuple[int, int] = self.config.n_step_at(0)
        self.after_write: list[Callable[[int, int], None]] = []
        if spec.zero_sum_turns:
            check_discount(spec, self.config)
        self.num_times = -(-self.config.capacity // num_envs)
        if self.num_times < spec.frame_stack + 1:
            raise ValueError(
                f"capacity={self.config.capacity}: {num_envs} environments with frame stacks of "
                f"{spec.frame_stack} need at least {num_envs * (spec.frame_stack + 1)}"
            )
        check_ring_fits(
            spec,
            num_envs,
            self.config,
            device=device,
            directory=directory,
            extra_columns=extra_columns,
        )
        self.device = ring_device(self.config, device)
        folder = ring_folder(self.config, directory)
        self.generator = torch.Generator(self.device).manual_seed(seed_of(seed, "sampling"))
        self._columns = Columns(spec, self.num_times, num_envs, self.device, folder, extra_columns)
        self._starts = Starts(self.num_times, num_envs, self.device)
        self._gathering = Gathering(
            spec, self.generator, self.device, self.config.sequence_length, extra_columns
        )
        self.total_times = 0
        self.newest_read: Tensor | None = None

    @property
    def times_stored(self) -> int:
        """Time indices in use, the newest of ``total_times``."""
        return min(self.total_times, self.num_times)

    @property
    def num_rows(self) -> int:
        """Rows stored, including those that hold a final observation."""
        return self.times_stored * self.num_envs

    @property
    def num_starts(self) -> int:
        """Rows that can be sampled as the start of a transition."""
        first, end = self._start_positions()
        return end - first

    def follow_schedules(self, env_steps: int) -> None:
        """Set ``gamma`` and ``n_step``, if they are schedules, to their current values."""
        if callable(self.config.gamma):
            self.gamma = self.config.gamma_at(env_steps)
        if callable(self.config.n_step):
            self.n_step = self.config.n_step_at(env_steps)

    def extend(self, rows: Rows) -> None:
        """Append ``rows``, overwriting the oldest; of more than the ring holds it keeps the newest.

        A final observation after a row that didn't end an episode truncates the episode there.

        Raises:
            ValueError: their extra columns aren't the declared ones; nothing is appended.
        """
        self._columns.check(rows)
        rows = truncated_where_cut(rows)
        num_new = len(rows.action)
        if num_new and self.total_times and (is_final := rows.action[0] == NO_ACTION).any():
            self.truncate_newest(is_final)
        written = 0
        while written < num_new:
            count = min(num_new - written, self.num_times - self._cursor)
            self._write(rows.each(itemgetter(slice(written, written + count))), count)
            written += count

    def sample(self, num_updates: int, batch_size: int) -> Transitions:
        """Draw U minibatches of transitions uniformly, with replacement.

        Returns:
            [U, B, ...] on the ring's device. The next call of the same size reuses the memory.

        Raises:
            ValueError: no row is a start yet.
        """
        first, end = self._start_positions()
        if end <= first:
            raise ValueError("the replay ring holds no transition yet: collect some rows first")
        draw = torch.randint(
            first,
            end,
            (num_updates * batch_size,),
            generator=self.generator,
            device=self.device,
        )
        return self.transitions_at(self._starts.at(draw)).unflatten(num_updates, batch_size)

    def start_cells(self) -> Tensor:
        """Return the cells of all starts, oldest first, int64[num_starts]."""
        return self._starts.at(torch.arange(*self._start_positions()).to(self.device))

    def transitions_at(self, cells: Tensor) -> Transitions:
        """Return the transitions that start in ``cells``, int64[M] -> [M, ...]."""
        self.newest_read = cells
        return self._gathering.transitions(self.cells, cells, self.gamma, self.n_step)

    def newest_cells(self, num_times: int) -> Tensor:
        """Return the cells of the newest times stored, oldest first, int64[<= num_times, E]."""
        count = min(num_times, self.times_stored)
        times = (self._cursor - count + torch.arange(count, device=self.device)) % self.num_times
        return times.unsqueeze(1) * self.num_envs + torch.arange(self.num_envs, device=self.device)

    def read(self, column: str, cells: Tensor | slice) -> Tensor:
        """Return a column of rows, as ``"reward"``, at cells int64[...] or a slice of them."""
        return self._columns.by_name[column][cells]

    @property
    def cells(self) -> Cells:
        """The ring as it is read now: clipped rewards, and where episodes and lives end."""
        newest = (self._cursor - 1) % self.num_times
        oldest = 0 if self.total_times < self.num_times else self._cursor
        clip = self.config.reward_clip
        return Cells(self._columns.by_name, self.num_envs, newest, oldest, clip)

    def observations(self, cells: Tensor) -> Tensor:
        """Return the observations of cells int64[M], frames stacked, [M, *shape] or [M, S, *shape].

        The next call of the same size reuses the memory.
        """
        return self._gathering.observations(self.cells, cells)

    def extra(self, cells: Tensor) -> dict[str, Tensor] | None:
        """Return the extra columns that are learned from, for cells int64[M], by name [M, ...].

        The next call of the same size reuses the memory. None if there are none.
        """
        return self._gathering.extra(self.cells, cells)

    def oldest_incomplete_times(self) -> np.ndarray:
        """Return the times whose frame stacks have lost their oldest frames, int64[S-1] or [0]."""
        if self.total_times < self.num_times:
            return np.zeros(0, np.int64)
        return (self._cursor + np.arange(self.spec.frame_stack - 1)) % self.num_times

    def read_times(self, first: int, end: int) -> dict[str, Tensor]:
        """Return the rows of times [first, end), counted from the first ever written.

        Args:
            first: a time that is still stored.
            end: at most ``total_times``.

        Returns:
            Columns [end - first, E, ...]; a view if they don't cross the end of the ring.
        """
        assert self.total_times - self.times_stored <= first <= end <= self.total_times
        return self._columns.read_times(first, end)

    def write_times(self, first: int, columns: Mapping[str, Tensor]) -> None:
        """Put rows back where :meth:`read_times` found them; call :meth:`resume_at` afterwards.

        Raises:
            ValueError: their columns differ from those here.
        """
        differing = self._columns.differing(columns)
        if differing:
            raise ValueError(
                f"replay: the rows of the checkpoint and those of this environment differ in "
                f"{', '.join(differing)}; continue with the environment and the collection that "
                "they are of"
            )
        self._columns.write_times(first, columns)

    def resume_at(self, total_times: int) -> None:
        """Continue with the rows that were put back, as the newest of ``total_times``.

        A row may have been saved before a final observation truncated its episode there.
        """
        self.total_times = total_times
        cells = self.newest_cells(self.times_stored)
        has_action = self.read("action", cells) != NO_ACTION
        self._truncate(cells[:-1][~has_action[1:]])
        self._starts.rebuild(cells, has_action)

    def truncate_newest(self, where: np.ndarray | None = None) -> None:
        """Truncate the episodes that are open in the newest rows.

        Args:
            where: bool[E], in which environments; None: in all.
        """
        newest = self.newest_cells(1)[0]
        if where is not None:
            newest = newest[torch.from_numpy(np.flatnonzero(where)).to(self.device)]
        self._truncate(newest)

    def _truncate(self, cells: Tensor) -> None:
        """Truncate the episodes that are open in rows, int64[M]."""
        is_open = (self.read("action", cells) != NO_ACTION) & ~self.read("terminated", cells)
        # Not by a mask on the ring's device, whose shape would be waited for.
        self._columns.by_name["truncated"][cells] |= is_open

    def state_dict(self, *, with_rows: bool) -> dict[str, Any]:
        """Return the generator's state and the size, and with ``with_rows`` also the rows.

        How transitions are read isn't part of it, but of the configuration.
        """
        state: dict[str, Any] = {
            "generator": self.generator.get_state(),
            "total_times": self.total_times,
            "num_times": self.num_times,
            "num_envs": self.num_envs,
        }
        if with_rows:
            oldest = self.total_times - self.times_stored
            columns = self.read_times(oldest, self.total_times)
            state["rows"] = {name: column.cpu().clone() for name, column in columns.items()}
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load what :meth:`state_dict` returned, into an empty ring.

        Raises:
            ValueError: it is from a ring of another size.
        """
        set_generator(self.generator, state["generator"])
        if "num_times" not in state:  # of 0.1, without rows
            return
        size, own = (state["num_times"], state["num_envs"]), (self.num_times, self.num_envs)
        if size != own:
            raise ValueError(
                f"replay.capacity={own[0] * own[1]} with {own[1]} environments: the checkpoint is "
                f"of a ring of {size[0] * size[1]} rows of {size[1]} environments; continue with "
                "these"
            )
        if "rows" in state:
            stored = len(state["rows"]["action"])
            self.write_times(state["total_times"] - stored, state["rows"])
            self.resume_at(state["total_times"])

    def _write(self, rows: Rows, count: int) -> None:
        """Write ``count`` time indices that don't cross the end of the ring."""
        begin, end = self._cursor, self._cursor + count
        self._columns.write(begin, end, rows)
        self._starts.replace(begin, rows.action != NO_ACTION)
        self.total_times += count
        for notify in self.after_write:
            notify(begin, end)

    @property
    def _cursor(self) -> int:
        return self.total_times % self.num_times

    def _start_positions(self) -> tuple[int, int]:
        """Return the range of the starts whose frame stack is whole and whose successor is here."""
        return self._starts.span(self.oldest_incomplete_times(), self._cursor - 1)
