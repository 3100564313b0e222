"""The steps that come after a row, by index arithmetic, for who predicts them.

In the ring drawn in :mod:`lightning_dqn.replay.reading`, of which 7 is the newest time, K = 3 and
stacks of three frames:

    start     3                        6
    steps     3 --> 4 --> 4 --> 4      6 --> 7 --> 7 --> 7
    within          yes   no    no           yes   no    no
    frames    3 3 [4 4 4]              6 6 [7 7 7]      each stack is a window over them

The action of time 4 ended its episode: what that led to isn't predicted, and nothing after it, be
it a termination, a truncation or, where environments tell of them, the end of a life, as with
chains. Steps that aren't stored yet don't count either, so the starts stay those there are without
sequences.

Pure functions of tensors. Shapes: M cells, K steps to come, S stacked frames.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lightning_dqn.replay.reading import Cells, stacked_cells


class Steps(NamedTuple):
    """What came after some cells.

    Attributes:
        cells: int64[M, K + 1], of each step, the start first; one that isn't within is the newest
            that is.
        within: bool[M, K], which of those after the start count.
    """

    cells: Tensor
    within: Tensor


def follow_steps(ring: Cells, cells: Tensor, length: int) -> Steps:
    """Return the steps that came after cells, int64[M].

    Args:
        ring: what is read.
        cells: starts.
        length: K.
    """
    goes_on = torch.ones_like(cells, dtype=torch.bool)
    steps, within = [cells], []
    for _ in range(length):
        goes_on = goes_on & ~ring.ended(cells) & (ring.time(cells) != ring.newest)
        cells = torch.where(goes_on, ring.successor(cells), cells)
        steps.append(cells)
        within.append(goes_on)
    return Steps(torch.stack(steps, dim=1), torch.stack(within, dim=1))


def sequence_frames(ring: Cells, steps: Steps, num_frames: int) -> Tensor:
    """Return the cells of all frames in the stacks of the K steps, int64[M, S - 1 + K]."""
    earlier = stacked_cells(ring, steps.cells[:, 0], num_frames)[:, 1:]
    return torch.cat([earlier, steps.cells[:, 1:]], dim=1)


def windows(frames: Tensor, num_frames: int) -> Tensor:
    """Return stacks of consecutive frames, [M, S - 1 + K, *shape] -> [M, K, S, *shape].

    They share the frames' memory, and overlap there.
    """
    return frames.unfold(1, num_frames, 1).movedim(-1, 2)
