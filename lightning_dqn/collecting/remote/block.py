"""What an actor is asked for, and what it sends.

Blocks follow each other, and may overlap: one whose actor cuts sequences elsewhere says how many
of its first times were in the block before::

    times of the actor    0  1  2  3  4  5  6  7  8
    block                 [---------]                 first_time 0, num_repeated 0
    block                       [------------]        first_time 2, num_repeated 2
    taken                 0  1  2  3  4  5  6

Shapes: T time, E environments of the actor, S stacked frames, A actions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lightning_dqn.collecting.remote.chains import ChainTerms
from lightning_dqn.transitions import Episode, Rows


class BlockRequest(NamedTuple):
    """What an actor is asked for.

    Attributes:
        num_times: T, of the block, those that it repeats not counted.
        env_steps: of all actors where the block begins; within it schedules go by what all collect.
        is_random: actions are random, as in the first warm-up.
        chains: by which initial priorities are computed; None: none are.
    """

    num_times: int
    env_steps: int
    is_random: bool
    chains: ChainTerms | None = None


class Following(NamedTuple):
    """What follows the newest rows.

    Attributes:
        observation: [E, *shape].
        stacked: [E, S, *shape]; ``observation`` where S = 1. None: not known, for the frames before
            it came with rows that were taken.
        action_mask: bool[E, A], the legal actions; None where the environments have no masks.
    """

    observation: np.ndarray
    stacked: np.ndarray | None
    action_mask: np.ndarray | None


class Block(NamedTuple):
    """What an actor sends.

    Attributes:
        rows: [T, E].
        following: what comes after them.
        episodes: that ended in them.
        epsilon: probability of a random action by now.
        weights_env_steps: when the weights that acted were sent; None: none did.
        worker_restarts: in the actor so far; None where its environments have no workers.
        first_time: how many times the actor had collected before the first of these rows.
        num_repeated: how many of the first times were in the block before.
    """

    rows: Rows
    following: Following
    episodes: list[Episode]
    epsilon: float
    weights_env_steps: int | None
    worker_restarts: int | None
    first_time: int
    num_repeated: int = 0
