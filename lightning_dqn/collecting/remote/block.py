"""What an actor is asked for, and what it sends.

Shapes: T time, E environments of the actor, S stacked frames, A actions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lightning_dqn.transitions import Episode, Rows


class Order(NamedTuple):
    """What an actor is asked for.

    Attributes:
        num_times: T, of the block.
        env_steps: of all actors, by which schedules go.
        is_random: actions are random, as in the first warm-up.
    """

    num_times: int
    env_steps: int
    is_random: bool


class Following(NamedTuple):
    """What follows the newest rows.

    Attributes:
        observation: [E, *shape].
        stacked: [E, S, *shape]; ``observation`` where S = 1.
        action_mask: bool[E, A], or None where all actions are legal.
    """

    observation: np.ndarray
    stacked: np.ndarray
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
    """

    rows: Rows
    following: Following
    episodes: list[Episode]
    epsilon: float
    weights_env_steps: int | None
    worker_restarts: int | None
