"""Temporal-difference learning, one equation a function.

Pure functions of tensors. Shapes: B batch, A actions; a trailing N stands for what a
distributional head keeps of each action. The discount is data: 0 after termination.
"""

from __future__ import annotations

import torch
from torch import Tensor


def greedy_action(q_values: Tensor, action_mask: Tensor | None = None) -> Tensor:
    """Return argmax_a Q(s, a) over the legal actions.

    Args:
        q_values: float[B, A].
        action_mask: bool[B, A], True where legal. In a state without a legal action (after a
            game's end) the answer is 0; its value is multiplied by a discount of 0.

    Returns:
        int64[B].
    """
    _check_rank(2, q_values=q_values)
    if action_mask is not None:
        _check_same_shape(q_values=q_values, action_mask=action_mask)
        q_values = q_values.masked_fill(~action_mask, -torch.inf)
    return q_values.argmax(dim=1)


def select_action(output: Tensor, action: Tensor) -> Tensor:
    """Return what ``output`` says of the chosen actions.

    Args:
        output: float[B, A] or float[B, A, N].
        action: int64[B].

    Returns:
        float[B] or float[B, N].
    """
    _check_rank(1, action=action)
    index = action.reshape(-1, *[1] * (output.ndim - 1)).expand(-1, 1, *output.shape[2:])
    return output.gather(1, index).squeeze(1)


def td_target(reward: Tensor, discount: Tensor, bootstrap: Tensor) -> Tensor:
    """Return r + discount * V(s'), eq. 3 of Mnih et al. 2015 (doi.org/10.1038/nature14236).

    Args:
        reward: float[B], summed over the n-step chain.
        discount: float[B], gamma^n, 0 after termination, sign -1 per ply in zero-sum turn games.
        bootstrap: float[B], the value of the state at the chain's end.

    Returns:
        float[B].
    """
    _check_rank(1, reward=reward, discount=discount, bootstrap=bootstrap)
    _check_same_shape(reward=reward, discount=discount, bootstrap=bootstrap)
    return reward + discount * bootstrap


def squared_error(td_error: Tensor) -> Tensor:
    """Return delta^2 / 2, so that its gradient is delta: float[B] -> float[B]."""
    return 0.5 * td_error.square()


def huber_error(td_error: Tensor, threshold: float = 1.0) -> Tensor:
    """Return delta^2 / 2 near 0 and ``threshold`` * (|delta| - threshold / 2) beyond.

    Its gradient is the TD error clipped to +-threshold, as in Mnih et al. 2015, "Methods".
    """
    size = td_error.abs()
    linear = threshold * (size - 0.5 * threshold)
    return torch.where(size <= threshold, 0.5 * td_error.square(), linear)


def _check_rank(rank: int, **tensors: Tensor) -> None:
    """Refuse [B] against [B, 1], which would broadcast to [B, B] without a word."""
    for name, tensor in tensors.items():
        assert tensor.ndim == rank, f"{name} has shape {tuple(tensor.shape)}, not rank {rank}"


def _check_same_shape(**tensors: Tensor) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    assert len(set(shapes.values())) == 1, f"shapes differ: {shapes}"
