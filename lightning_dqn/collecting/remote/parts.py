"""Rows in parts: along time, and beside each other.

Shapes: T time, E environments.
"""

from __future__ import annotations

from operator import itemgetter

import numpy as np

from lightning_dqn.collecting.remote.block import Following
from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.transitions import Rows


def times_of(rows: Rows, first: int, end: int) -> Rows:
    """Return the rows of times [first, end), which share the memory."""
    return rows.each(itemgetter(slice(first, end)))


def owned(rows: Rows) -> Rows:
    """Return rows that may be written to, and hold no memory of others."""
    return rows.each(lambda column: column if column.flags.writeable else column.copy())


def following_of(
    spec: EnvironmentSpec, observation: np.ndarray, action_mask: np.ndarray | None
) -> Following:
    """Return what follows, by observations without the frames before them.

    Args:
        spec: of the rows.
        observation: [E, *shape].
        action_mask: bool[E, A], or None where all actions are legal.
    """
    return Following(observation, observation if spec.frame_stack == 1 else None, action_mask)


def nothing_yet(spec: EnvironmentSpec, num_envs: int) -> Following:
    """Return what stands for an observation where none was made."""
    shape = (num_envs, *spec.observation_shape)
    observation = np.zeros(shape, np.dtype(spec.observation_dtype))
    stacked = (
        observation
        if spec.frame_stack == 1
        else np.zeros((num_envs, *spec.stacked_shape), observation.dtype)
    )
    return Following(observation, stacked, None)
