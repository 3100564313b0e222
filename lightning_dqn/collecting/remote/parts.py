"""Rows in parts: along time, and beside each other.

Shapes: T time, E environments.
"""

from __future__ import annotations

from operator import itemgetter

import numpy as np

from lightning_dqn.collecting.remote.block import Following
from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.extra_columns import NO_COLUMNS, ExtraColumns, zeros
from lightning_dqn.transitions import NO_ACTION, Rows


def times_of(rows: Rows, first: int, end: int) -> Rows:
    """Return the rows of times [first, end), which share the memory."""
    return rows.each(itemgetter(slice(first, end)))


def owned(rows: Rows) -> Rows:
    """Return rows that may be written to, and hold no memory of others."""
    return rows.each(lambda column: column if column.flags.writeable else column.copy())


def final_rows(
    spec: EnvironmentSpec,
    following: Following,
    num_times: int = 1,
    extra_columns: ExtraColumns = NO_COLUMNS,
) -> Rows:
    """Return rows [T, E] in which nothing happens and no transition starts.

    The first ends open episodes as truncated.

    Args:
        spec: of the environments.
        following: what was observed last.
        num_times: T.
        extra_columns: that rows carry; zeros here.
    """
    observation = following.observation
    size = (num_times, len(observation))
    mask = np.ones((*size, spec.num_actions), bool) if spec.has_action_mask else None
    if mask is not None and following.action_mask is not None:
        mask[:] = following.action_mask
    return Rows(
        observation=np.broadcast_to(
            following.observation, (num_times, *following.observation.shape)
        ),
        action=np.full(size, NO_ACTION, np.int64),
        reward=np.zeros(size, np.float32),
        terminated=np.zeros(size, bool),
        truncated=np.zeros(size, bool),
        action_mask=mask,
        life_lost=np.zeros(size, bool) if spec.has_life_losses else None,
        extra=zeros(extra_columns, *size),
    )


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
