"""Rows and what follows them in parts: along time, and of actors beside each other.

Shapes: T time, E environments.
"""

from __future__ import annotations

from operator import itemgetter
from typing import Any

import numpy as np
import torch

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
    stacked = observation if spec.frame_stack == 1 else None
    return Following(observation, stacked, mask_of(spec, len(observation), action_mask))


def mask_of(
    spec: EnvironmentSpec, num_envs: int, action_mask: np.ndarray | None
) -> np.ndarray | None:
    """Return legal actions, bool[E, A], spelled out wherever an environment may forbid some.

    So masks of several actors can stand side by side, though one of them forbids nothing just now.

    Args:
        spec: of the rows.
        num_envs: E.
        action_mask: None where all actions are legal.
    """
    if action_mask is None and spec.has_action_mask:
        return np.ones((num_envs, spec.num_actions), bool)
    return action_mask


def nothing_yet(spec: EnvironmentSpec, num_envs: int) -> Following:
    """Return what stands for an observation where none was made."""
    shape = (num_envs, *spec.observation_shape)
    observation = np.zeros(shape, np.dtype(spec.observation_dtype))
    stacked = (
        observation
        if spec.frame_stack == 1
        else np.zeros((num_envs, *spec.stacked_shape), observation.dtype)
    )
    return Following(observation, stacked, mask_of(spec, num_envs, None))


def of_all(parts: list[np.ndarray | None]) -> np.ndarray | None:
    """Return the actors' parts side by side; None where one has none."""
    known = [part for part in parts if part is not None]
    return np.concatenate(known) if len(known) == len(parts) else None


def to_plain(observation: np.ndarray, mask: np.ndarray | None) -> dict[str, Any]:
    """Return what follows the rows as tensors, for a checkpoint."""
    return {
        "observation": torch.as_tensor(np.array(observation)),
        "action_mask": None if mask is None else torch.as_tensor(np.array(mask)),
    }


def from_plain(state: dict[str, Any]) -> tuple[np.ndarray, np.ndarray | None]:
    """Return what :func:`to_plain` was given."""
    mask = state["action_mask"]
    return state["observation"].numpy(), None if mask is None else mask.numpy()


def part_of(
    observation: np.ndarray, mask: np.ndarray | None, index: int, number: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return one actor's part of what follows the rows of all."""
    own = None if mask is None else np.split(mask, number)[index]
    return np.split(observation, number)[index], own
