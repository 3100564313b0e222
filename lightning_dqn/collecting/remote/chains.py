"""What came of the actions in a block, before its rows are in any ring.

The same as the ring finds by :mod:`lightning_dqn.replay.reading`, of rows that lie in order::

    time      0    1    2    3    4    5          "+": what follows the block
    row       o a  o a  o -  o a  o a  +
    chain     0 ------> 2    3 ------> 5          of two steps; 4 has one step alone: not whole

Shapes: T time, E environments, S stacked frames, M cells of [T, E] that are chosen.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lightning_dqn.transitions import NO_ACTION, Rows


class ChainTerms(NamedTuple):
    """What a transition is by now.

    Attributes:
        gamma: discount of one env step.
        n_step: rewards summed before bootstrapping; of a range the most.
        reward_clip: the largest reward that is learned from; None: any.
    """

    gamma: float
    n_step: int
    reward_clip: float | None


class Chains(NamedTuple):
    """What came of each row's action.

    Attributes:
        reward: float32[T, E], the discounted sum.
        discount: float32[T, E], of what the time ``last`` is worth; 0 after termination or a life.
        last: int64[T, E], the times bootstrapped from; T is what follows the block.
        is_whole: bool[T, E], an action was taken, and all of its chain is in the block.
    """

    reward: np.ndarray
    discount: np.ndarray
    last: np.ndarray
    is_whole: np.ndarray


def follow_chains(rows: Rows, terms: ChainTerms) -> Chains:
    """Follow the actions of a block for up to ``n_step`` steps, to the end of episode or life."""
    num_times = len(rows.action)
    clip = np.inf if terms.reward_clip is None else terms.reward_clip
    rewards = rows.reward.clip(-clip, clip)
    closed = rows.terminated if rows.life_lost is None else rows.terminated | rows.life_lost
    ended = closed | rows.truncated
    reward = np.zeros_like(rewards)
    discount = np.ones_like(rewards)
    last = np.zeros(rewards.shape, np.int64)
    is_whole = rows.action != NO_ACTION
    goes_on = is_whole.copy()
    for step in range(terms.n_step):
        beyond = max(0, num_times - step)
        is_whole[beyond:] &= ~goes_on[beyond:]
        goes_on[beyond:] = False
        here, there = slice(0, beyond), slice(step, num_times)
        taken = goes_on[here]
        reward[here] += np.where(taken, discount[here] * rewards[there], 0.0)
        discount[here] *= np.where(taken, terms.gamma * ~closed[there], 1.0)
        last[here] = np.where(taken, np.arange(step, num_times)[:, None] + 1, last[here])
        goes_on[here] &= ~ended[there]
    return Chains(reward, discount, last, is_whole)


def stack_times(rows: Rows, num_frames: int) -> np.ndarray:
    """Return the times of the frames in each row's stack, oldest first, int64[T + 1, E, S].

    Those of what follows the block come last. Frames before the first of the episode, or of the
    life, are that first frame; those before the block are -1.
    """
    num_times, num_envs = rows.action.shape
    begins = rows.action == NO_ACTION
    if rows.life_lost is not None:
        begins = begins | rows.life_lost
    # What came before the block isn't known, so time 0 may begin nothing.
    is_first = np.concatenate([np.zeros((1, num_envs), bool), begins])
    times = np.repeat(np.arange(num_times + 1)[:, None], num_envs, axis=1)
    stack, environments = [times], np.arange(num_envs)
    for _ in range(num_frames - 1):
        stays = is_first[times, environments] | (times < 0)
        times = np.where(stays, times, times - 1)
        stack.append(times)
    return np.stack(stack[::-1], axis=-1)
