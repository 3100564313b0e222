"""Rows in parts: along time, and beside each other.

Shapes: T time, E environments.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lightning_dqn.collecting.remote.block import Following
from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.transitions import NO_ACTION, Rows


def times_of(rows: Rows, first: int, end: int) -> Rows:
    """Return the rows of times [first, end), which share the memory."""
    return Rows(*(None if column is None else column[first:end] for column in rows))  # type: ignore[arg-type]


def joined(parts: Sequence[Rows], axis: int) -> Rows:
    """Return rows after each other (axis 0), or beside each other (axis 1)."""
    if len(parts) == 1:
        return parts[0]
    columns = zip(*parts, strict=True)
    return Rows(*(None if c[0] is None else np.concatenate(c, axis=axis) for c in columns))  # type: ignore[arg-type]


def owned(rows: Rows) -> Rows:
    """Return rows that may be written to, and hold no memory of others."""
    return Rows(*(c if c is None or c.flags.writeable else c.copy() for c in rows))  # type: ignore[arg-type]


def final_rows(spec: EnvironmentSpec, following: Following, num_times: int = 1) -> Rows:
    """Return rows [T, E] in which nothing happens and no transition starts.

    The first ends open episodes as truncated.

    Args:
        spec: of the environments.
        following: what was observed last.
        num_times: T.
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
