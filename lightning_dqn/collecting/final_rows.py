"""Rows by which open episodes end, where no other will follow."""

from __future__ import annotations

import numpy as np

from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.extra_columns import NO_COLUMNS, ExtraColumns, zeros
from lightning_dqn.transitions import NO_ACTION, Rows


def final_rows(
    spec: EnvironmentSpec,
    observation: np.ndarray,
    action_mask: np.ndarray | None,
    num_times: int = 1,
    extra_columns: ExtraColumns = NO_COLUMNS,
) -> Rows:
    """Return rows [T, E] in which nothing happens and no transition starts.

    The first ends open episodes as truncated.

    Args:
        spec: of the environments.
        observation: [E, *shape], what was observed last.
        action_mask: bool[E, A], the legal actions there, or None where all are.
        num_times: T.
        extra_columns: that rows carry; zeros here.
    """
    size = (num_times, len(observation))
    mask = np.ones((*size, spec.num_actions), bool) if spec.has_action_mask else None
    if mask is not None and action_mask is not None:
        mask[:] = action_mask
    return Rows(
        observation=np.repeat(observation[None], num_times, axis=0),
        action=np.full(size, NO_ACTION, np.int64),
        reward=np.zeros(size, np.float32),
        terminated=np.zeros(size, bool),
        truncated=np.zeros(size, bool),
        action_mask=mask,
        life_lost=np.zeros(size, bool) if spec.has_life_losses else None,
        extra=zeros(extra_columns, *size),
    )
