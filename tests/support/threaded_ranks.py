"""Ranks that are threads of one process, for tests of what they exchange."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import torch
from torch import Tensor

from lightning_dqn.system.ranks import Ranks

Result = TypeVar("Result")


class Meeting:
    """Where threads lay down what they have, and find what the others have."""

    def __init__(self, size: int) -> None:
        self._held: list[Any] = [None] * size
        self._barrier = threading.Barrier(size, timeout=30)

    def exchange(self, rank: int, value: Any) -> list[Any]:
        """Return what all have."""
        self._held[rank] = value
        self._barrier.wait()
        found = list(self._held)
        self._barrier.wait()
        return found

    def leave(self) -> None:
        """Let nobody wait any more."""
        self._barrier.abort()


class ThreadedRanks(Ranks):
    """Ranks without a process group."""

    meeting: Meeting

    @classmethod
    def make(cls, size: int) -> list[ThreadedRanks]:
        """Return them all."""
        meeting, made = Meeting(size), [cls(size, rank) for rank in range(size)]
        for one in made:
            object.__setattr__(one, "meeting", meeting)
        return made

    def average(self, bucket: Tensor) -> None:
        """Replace values by their means."""
        bucket.copy_(torch.stack(self.meeting.exchange(self.rank, bucket.clone())).mean(dim=0))

    def gather(self, values: Tensor) -> Tensor:
        """Return the values of all."""
        return torch.stack(self.meeting.exchange(self.rank, values.clone()))

    def first_ones(self, value: Any) -> Any:
        """Return what the first has."""
        return self.meeting.exchange(self.rank, value)[0]

    def each_ones(self, value: Any) -> list[Any]:
        """Return what each has."""
        return self.meeting.exchange(self.rank, value)


def in_ranks(size: int, act: Callable[[Ranks], Result]) -> list[Result]:
    """Call a function as each of so many ranks at once; return what each returned."""
    ranks = ThreadedRanks.make(size)

    def guarded(one: ThreadedRanks) -> Result:
        try:
            return act(one)
        except BaseException:
            one.meeting.leave()
            raise

    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(guarded, ranks))
