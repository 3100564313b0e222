"""Priorities of a replay ring's rows, drawn from in proportion and changed in place.

For proportional prioritised replay, Schaul et al. 2016 (arxiv.org/abs/1511.05952), section 3.3
and appendix B.2.1, whose binary tree of scalars is here one of two levels: leaves in blocks of K
and the blocks' sums. A search is a cumulative sum and a bisection on each level, for all draws at
once; a binary tree needs a torch call per level and more of them than the sums cost.

Shapes: M leaves named in one call, U updates, B batch, K leaves a block, N blocks.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

SMALLEST_BLOCK = 32


class SumTree:
    """Non-negative priorities of ``size`` leaves, all 0 at first, and the sums of their blocks.

    A block's sum is always added up anew from its leaves, never moved by a difference, so
    rounding doesn't gather over a run. Nothing is read back from an accelerator.

    Priorities are float64, float32 on MPS. They must be finite and at least 0; nothing checks
    that, for looking would stall an accelerator. ``tree[:]`` and ``fill(0, tree.size, priorities)``
    save and restore all there is.

    Args:
        size: number of leaves, at least 1.
        device: where the priorities lie and every argument must lie.
    """

    def __init__(self, size: int, device: torch.device | str = "cpu") -> None:
        assert size >= 1, f"size={size} holds no leaf"
        self.size = size
        self.device = torch.device(device)
        self.dtype = torch.float32 if self.device.type == "mps" else torch.float64
        self._block_size = _block_size(size)
        self._block_bits = self._block_size.bit_length() - 1
        num_blocks = -(-size // self._block_size)
        self._blocks = self._zeros(num_blocks, self._block_size)
        self._leaves = self._blocks.view(-1)[:size]  # so that the padding can't be written
        self._sums = self._zeros(num_blocks)
        self._starts = self._zeros(num_blocks + 1)
        self._ends = self._starts[1:]
        self._zero = self._zeros()
        self._segments = self._zeros(0)
        self._gathered = self._zeros(0, self._block_size)

    @property
    def total(self) -> Tensor:
        """Sum of all priorities, float[]."""
        return self._sums.sum()

    def __getitem__(self, index: Tensor | slice | int) -> Tensor:
        """Return the priorities of these leaves, float of the index's shape."""
        return self._leaves[index]

    def update(self, index: Tensor, value: Tensor) -> None:
        """Set leaves. One that is named more than once takes the largest of its values.

        Args:
            index: int64[M], each in [0, size).
            value: float[M], finite and at least 0, without a gradient.
        """
        assert index.ndim == 1, f"index has shape {tuple(index.shape)}, not rank 1"
        assert index.shape == value.shape, f"{index.shape} leaves, but {value.shape} values"
        assert not value.requires_grad, "a priority carries no gradient: detach it"
        self._leaves.scatter_reduce_(0, index, value.to(self.dtype), "amax", include_self=False)
        if 4 * len(index) >= len(self._sums):  # adding up all in order is then quicker
            torch.sum(self._blocks, 1, out=self._sums)
            return
        block = index >> self._block_bits
        # A block that is named twice gets the same sum twice.
        self._sums.index_copy_(0, block, self._gather_blocks(block).sum(1))

    def fill(self, begin: int, end: int, value: Tensor | float) -> None:
        """Set the leaves from ``begin`` up to, not including, ``end``.

        Args:
            begin: first leaf.
            end: at most ``size``: the range doesn't wrap.
            value: float[end - begin], or one number for all.
        """
        assert 0 <= begin <= end <= self.size, f"[{begin}, {end}) is not within [0, {self.size})"
        self._leaves[begin:end] = value
        blocks = slice(begin // self._block_size, -(-end // self._block_size))
        torch.sum(self._blocks[blocks], 1, out=self._sums[blocks])

    def sample(
        self, num_updates: int, batch_size: int, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw leaves in proportion to their priorities, with replacement.

        In each minibatch the total is cut into B equal segments and one point is drawn in each
        (appendix B.2.1), so a leaf with a share p of the total comes fewer than 2 times more or
        less often than B * p. One of priority 0 never comes. A minibatch is in order of leaves.

        The caller sees to it that ``total`` is above 0, which only it can know without a wait;
        where it isn't, the index is meaningless or out of range.

        Args:
            num_updates: U.
            batch_size: B.
            generator: on the tree's device; None for torch's own.

        Returns:
            int64[U * B], one minibatch after the other.
        """
        _running_sums(self._sums, out=self._ends)
        point = self._points(num_updates, batch_size, generator)
        block = torch.searchsorted(self._ends, point, right=True)
        point.sub_(self._starts.index_select(0, block))
        leaves = self._gather_blocks(block)
        ends = _running_sums(leaves, out=leaves)
        # Rounding may have put the point at its block's end, past the last leaf above 0.
        point = torch.minimum(point, self._just_below(ends.select(1, -1)))
        leaf = torch.searchsorted(ends, point.unsqueeze(1), right=True)
        return leaf.squeeze(1).add_(block, alpha=self._block_size)

    def _points(
        self, num_updates: int, batch_size: int, generator: torch.Generator | None
    ) -> Tensor:
        """Draw one point in each of B segments of [0, total), float[U * B]."""
        if len(self._segments) != batch_size:
            segments = torch.arange(batch_size, dtype=self.dtype, device=self.device)
            self._segments = segments.div_(batch_size)
        point = torch.rand(
            (num_updates, batch_size), generator=generator, dtype=self.dtype, device=self.device
        )
        point = torch.add(self._segments, point, alpha=1 / batch_size).view(-1)
        # The left factor may be rounded to 1, so the right one is the last point, not the end.
        return point.mul_(self._just_below(self._ends.select(0, -1)))

    def _gather_blocks(self, block: Tensor) -> Tensor:
        """Gather blocks into memory that is used again: fresh pages cost far more."""
        if len(self._gathered) < len(block):
            self._gathered = self._zeros(len(block), self._block_size)
        return torch.index_select(self._blocks, 0, block, out=self._gathered[: len(block)])

    def _just_below(self, end: Tensor) -> Tensor:
        return torch.nextafter(end, self._zero)

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(shape, dtype=self.dtype, device=self.device)


def tree_bytes(size: int, itemsize: int = 8) -> int:
    """Return the bytes of a tree of so many leaves, beside what a draw needs."""
    block_size = _block_size(size)
    num_blocks = -(-size // block_size)
    return (num_blocks * block_size + 2 * num_blocks + 1) * itemsize


def _block_size(size: int) -> int:
    """Return the power of 2 near sqrt(size) / 32: a block's sum is worth more than a block's leaf.

    The sums are added up once a call and the blocks once a draw.
    """
    return max(SMALLEST_BLOCK, 1 << (math.isqrt(size) // 32).bit_length())


def _running_sums(masses: Tensor, out: Tensor) -> Tensor:
    """Return where each mass ends on a line on which all of a row lie side by side.

    The ends never fall, and a mass of 0 ends exactly where it begins, so the first end beyond a
    point is that of a mass above 0. On the CPU both follow from adding one after the other.
    """
    if masses.device.type == "cpu":
        return torch.cumsum(masses, -1, out=out)
    return out.copy_(_hold_at_zeros(masses.cumsum(-1), masses))


def _hold_at_zeros(ends: Tensor, masses: Tensor) -> Tensor:
    """Take the rounding of a parallel scan, which adds in another order at each place, from ends.

    Args:
        ends: float[..., K], running sums.
        masses: float[..., K], at least 0.

    Returns:
        float[..., K] that never falls, nor rises at a mass of 0.
    """
    return torch.where(masses > 0, ends, 0).cummax(-1).values
