"""A ring of times that counts them, to be saved in segments."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class CountedRing:
    """Keeps the newest ``num_times`` times of E environments, as naively as can be.

    Args:
        num_times: so many fit.
        num_envs: E.
        shape: of an observation.
    """

    def __init__(self, num_times: int, num_envs: int = 2, shape: tuple[int, ...] = (3,)) -> None:
        self.num_times = num_times
        self.total_times = 0
        self.largest_read = 0
        self._columns = {
            "observation": torch.zeros(num_times, num_envs, *shape, dtype=torch.uint8),
            "action": torch.zeros(num_times, num_envs, dtype=torch.int64),
            "reward": torch.zeros(num_times, num_envs),
            "terminated": torch.zeros(num_times, num_envs, dtype=torch.bool),
        }

    @property
    def times_stored(self) -> int:
        """So many of the newest times are there."""
        return min(self.total_times, self.num_times)

    def collect(self, num_new: int) -> None:
        """Write new times, whose values tell which they are."""
        times = torch.arange(self.total_times, self.total_times + num_new)
        columns = {
            name: (times.view(-1, *[1] * (c.ndim - 1)) % 251).expand(-1, *c.shape[1:]).to(c.dtype)
            for name, c in self._columns.items()
        }
        self.write_times(self.total_times, columns)

    def read_times(self, first: int, end: int) -> dict[str, Tensor]:
        """Return the columns of the times [first, end)."""
        assert self.total_times - self.times_stored <= first < end <= self.total_times
        self.largest_read = max(self.largest_read, end - first)
        index = torch.arange(first, end) % self.num_times
        return {name: column[index] for name, column in self._columns.items()}

    def write_times(self, first: int, columns: Mapping[str, Tensor]) -> None:
        """Write times from ``first`` on."""
        end = first + len(columns["action"])
        index = torch.arange(max(first, end - self.num_times), end)
        for name, column in self._columns.items():
            column[index % self.num_times] = columns[name][index - first]
        self.total_times = end

    def resume_at(self, total_times: int) -> None:
        """Count from here."""
        self.total_times = total_times

    def content(self) -> dict[str, Tensor]:
        """Return all that is stored, oldest first."""
        return self.read_times(self.total_times - self.times_stored, self.total_times)
