"""Where transitions may start: a ring of cells beside the ring of rows.

Shapes: T time indices of the ring, E environments.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


class Starts:
    """The cells of all rows in which an action was taken, in order of time.

    A start has a position, counted from the first ever written. The positions of those that are
    stored follow each other, so that a number drawn from a range is a start::

        cells      [ 14 | 15 |  4 |  5 |  7 | 10 | 11 ]     position modulo the length
                             tail              head

    Args:
        num_times: T.
        num_envs: E.
        device: of the cells.

    Attributes:
        cells: int64[T * E], of which those from tail to head are in use.
    """

    def __init__(self, num_times: int, num_envs: int, device: torch.device) -> None:
        self.cells = torch.zeros(num_times * num_envs, dtype=torch.int64, device=device)
        self._num_envs = num_envs
        self._at = np.zeros(num_times, dtype=np.int64)
        self._head = 0
        self._tail = 0

    def span(self, incomplete_times: np.ndarray, newest_time: int) -> tuple[int, int]:
        """Return the positions [first, end) of the starts that can be read as transitions.

        Args:
            incomplete_times: int64[S-1], the oldest, whose frame stacks aren't whole.
            newest_time: whose starts have no successor yet.
        """
        first = self._tail + int(self._at[incomplete_times].sum())
        return first, self._head - int(self._at[newest_time])

    def at(self, positions: Tensor) -> Tensor:
        """Return the cells of positions, int64[M] on the cells' device."""
        return self.cells[positions % len(self.cells)]

    def replace(self, begin: int, is_start: np.ndarray) -> None:
        """Take the starts of times that were just written, in place of those before.

        Args:
            begin: the first time.
            is_start: bool[N, E], for N times that don't cross the end of the ring.
        """
        end, device = begin + len(is_start), self.cells.device
        self._tail += int(self._at[begin:end].sum())
        self._at[begin:end] = is_start.sum(axis=1)
        new = torch.from_numpy(np.flatnonzero(is_start) + begin * self._num_envs)
        places = torch.arange(self._head, self._head + len(new)) % len(self.cells)
        self.cells[places.to(device)] = new.to(device)
        self._head += len(new)

    def rebuild(self, cells: Tensor, is_start: Tensor) -> None:
        """Begin anew with all rows that are stored.

        Args:
            cells: int64[N, E], of N times, oldest first.
            is_start: bool[N, E].
        """
        starts = cells[is_start]
        self.cells[: len(starts)] = starts
        self._tail, self._head = 0, len(starts)
        self._at[:] = 0
        times = (cells[:, 0] // self._num_envs).cpu().numpy()
        self._at[times] = is_start.sum(dim=1).cpu().numpy()
