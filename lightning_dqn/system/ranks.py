"""Several processes that learn as one: who they are, and what they tell each other.

Each call that all of them take part in costs about 0.2 ms, and all of them have to make it.
One process alone makes none. Shapes: N ranks.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import torch
import torch.distributed as dist
from torch import Tensor

from lightning_dqn.system.faults import RunFault, first_line


class LostRank(RunFault):
    """Another process of the run is gone, or answers no more."""

    @classmethod
    def of(cls, rank: int, size: int, error: BaseException) -> Self:
        """Return the fault that a failed call of this process tells of."""
        reason = first_line(error)
        # Of what gloo says, without the line of its source and its advice.
        reason = reason.rpartition("] ")[2].partition(". ")[0] or reason
        return cls(
            f"rank {rank} of {size}: another process of the run is gone or answers no more "
            f"({reason}); look what it said last, and continue from the last checkpoint"
        )


class RanksApart(RunFault):
    """What should be the same in all processes of a run isn't."""


class WrongRanks(RunFault, ValueError):
    """A checkpoint is one of another number of processes than there are."""


@dataclass(frozen=True)
class Ranks:
    """The processes of a run, one of which this is.

    Args:
        size: N.
        rank: of this process, from 0.
        device: on which what they exchange lies.
    """

    size: int = 1
    rank: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @classmethod
    def of(cls, trainer: Any) -> Self:
        """Return those of a Trainer, whose process group is there by the time it sets up."""
        size = getattr(trainer, "world_size", 1)
        return cls(size, trainer.global_rank, trainer.strategy.root_device) if size > 1 else cls()

    @property
    def are_several(self) -> bool:
        """Whether there is more than one."""
        return self.size > 1

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that tells, logs and writes what all have in common."""
        return self.rank == 0

    def share(self, total: int) -> int:
        """Return this process's part of so many things, the first ones' being larger by one."""
        return total // self.size + (self.rank < total % self.size)

    def even_share(self, name: str, total: int) -> int:
        """Return each process's part of so many things.

        Raises:
            ValueError: they can't be parted evenly.
        """
        if total % self.size:
            raise ValueError(
                f"{name}={total}: is of all {self.size} ranks together, and can't be parted "
                f"evenly; choose a multiple of {self.size}"
            )
        return total // self.size

    def average(self, bucket: Tensor) -> None:
        """Replace values, the same number of them in each process, by their means."""
        if self.are_several:
            with self._together():
                dist.all_reduce(bucket)
            bucket /= self.size

    def gather(self, values: Tensor) -> Tensor:
        """Return the values of all processes, of the same shape in each, with a leading N."""
        if not self.are_several:
            return values[None]
        own = values.to(self.device).contiguous()
        found = [torch.empty_like(own) for _ in range(self.size)]
        with self._together():
            dist.all_gather(found, own)
        return torch.stack(found).to(values.device)

    def gather_rows(self, rows: Tensor, counts: list[int]) -> Tensor:
        """Return the rows of all processes, one's after the other's.

        Args:
            rows: [M, C] of this process.
            counts: M of each, as all know by now.
        """
        if not self.are_several:
            return rows
        padded = rows.new_zeros(max(counts), *rows.shape[1:])
        padded[: len(rows)] = rows
        parts = self.gather(padded)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    def first_ones(self, value: Any) -> Any:
        """Return what the first process has: anything that can be pickled."""
        if not self.are_several:
            return value
        held = [value]
        with self._together():
            dist.broadcast_object_list(held, device=self.device)
        return held[0]

    def each_ones(self, value: Any) -> list[Any]:
        """Return what each process has, in their order: anything that can be pickled."""
        if not self.are_several:
            return [value]
        found = [None] * self.size
        with self._together():
            dist.all_gather_object(found, value)
        return found

    @contextmanager
    def _together(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise LostRank.of(self.rank, self.size, error) from error


ALONE = Ranks()
"""One process that does everything."""


def warn(text: str) -> None:
    """Warn of what one process of a run alone may have met; any but the first says which it is."""
    rank = dist.get_rank() if dist.is_available() and dist.is_initialized() else 0
    warnings.warn(f"rank {rank}: {text}" if rank else text, stacklevel=2)


def can_be_shared(part: object) -> bool:
    """Tell whether each of several ranks may have its own of a choice of transitions or of rows."""
    return bool(getattr(part, "can_be_shared", False))
