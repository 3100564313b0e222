"""What the agent has tried of late: how often each action, and how evenly.

Shapes: M rows, A actions.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lightning_dqn.replay.ring import ReplayBuffer
from lightning_dqn.transitions import NO_ACTION

NEWEST_ROWS = 1_024
"""Rows that are looked at."""

LEAST_ACTIONS = 64
"""Actions below which shares are chance."""

MOST_SHARES = 18
"""Actions up to which each has a share of its own: as many as Atari has."""


def exploration_diagnostics(replay: ReplayBuffer) -> dict[str, Tensor]:
    """Return how the newest actions spread, under keys of the glossary.

    Args:
        replay: their ring; nothing is told of one that holds less than 64 of them.
    """
    cells = replay.newest_cells(-(-NEWEST_ROWS // replay.num_envs))
    action = replay.read("action", cells)
    taken = action[action != NO_ACTION]
    if len(taken) < LEAST_ACTIONS:
        return {}
    shares = action_shares(taken, replay.spec.num_actions)
    found = {}
    if len(shares) > 1:
        found["exploration/action_entropy"] = relative_entropy(shares)
    if len(shares) <= MOST_SHARES:
        found |= {f"exploration/action_share/{a}": s for a, s in enumerate(shares.unbind())}
    return found


def action_shares(action: Tensor, num_actions: int) -> Tensor:
    """Return how often each action was taken, as a share of all.

    Healthy: none stays at 0 where it is ever of use.

    Args:
        action: int64[M], from 0.
        num_actions: A.

    Returns:
        float[A], summing to 1.
    """
    return torch.bincount(action, minlength=num_actions).float() / len(action)


def relative_entropy(shares: Tensor) -> Tensor:
    """Return the entropy of shares over that of equal ones: -sum_a p_a ln p_a / ln A.

    Healthy: near 1 at first, falling as epsilon does and then steady; 0 is one action alone.

    Args:
        shares: float[A], A at least 2, summing to 1.

    Returns:
        float[], from 0 to 1.
    """
    return torch.special.entr(shares).sum() / math.log(len(shares))
