"""How much there is to learn from an actor's rows, by the policy that it has.

Shapes: T time, E environments, M transitions, S stacked frames, A actions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lightning_dqn.collecting.remote.block import Following
from lightning_dqn.collecting.remote.chains import ChainTerms, follow_chains, stack_times
from lightning_dqn.extra_columns import NO_PRIORITY
from lightning_dqn.transitions import Rows

_AT_ONCE = 256
"""Transitions that are valued at once, so that stacks of frames take little memory."""


def no_priorities(rows: Rows) -> np.ndarray:
    """Return priorities that say nothing, float32[T, E]: the largest so far holds."""
    return np.full(rows.action.shape, NO_PRIORITY, np.float32)


def initial_priorities(
    rows: Rows, following: Following, terms: ChainTerms, frame_stack: int, policy: Any
) -> np.ndarray:
    """Return the priorities of a block's rows, float32[T, E], as in Ape-X.

    Horgan et al. 2018 (arxiv.org/abs/1803.00933), section 3. Rows whose n-step chain, or whose
    stack of frames, isn't whole within the block say nothing: the largest priority so far holds.

    Args:
        rows: of the block.
        following: what comes after them.
        terms: what a transition is.
        frame_stack: S.
        policy: has ``priorities``, see :class:`lightning_dqn.transitions.Policy`.
    """
    chains, stacks = follow_chains(rows, terms), stack_times(rows, frame_stack)
    observation = np.concatenate([rows.observation, following.observation[None]])
    mask = _masks(rows, following)
    priorities = no_priorities(rows)
    times, environments = np.nonzero(chains.is_whole & (stacks[:-1] >= 0).all(axis=-1))
    for begin in range(0, len(times), _AT_ONCE):
        time, env = times[begin : begin + _AT_ONCE], environments[begin : begin + _AT_ONCE]
        last = chains.last[time, env]
        priorities[time, env] = policy.priorities(
            _stacked(observation, stacks, time, env),
            rows.action[time, env],
            chains.reward[time, env],
            chains.discount[time, env],
            _stacked(observation, stacks, last, env),
            None if mask is None else mask[last, env],
        )
    return priorities


def _stacked(
    observation: np.ndarray, stacks: np.ndarray, time: np.ndarray, env: np.ndarray
) -> np.ndarray:
    """Return observations [M, *shape], or [M, S, *shape] where S is above 1."""
    if stacks.shape[-1] == 1:
        return observation[time, env]
    return observation[stacks[time, env], env[:, None]]


def _masks(rows: Rows, following: Following) -> np.ndarray | None:
    """Return the legal actions of all times and of what follows, bool[T + 1, E, A]."""
    if rows.action_mask is None:
        return None
    assert following.action_mask is not None, "rows and what follows have masks alike"
    return np.concatenate([rows.action_mask, following.action_mask[None]])
