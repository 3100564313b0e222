"""What an environment gives, made ours or refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np


def read_action_mask(info: Mapping[str, Any], num_envs: int, num_actions: int) -> np.ndarray | None:
    """Return ``info["action_mask"]`` as bool[E, A], or None where the environment has none.

    An environment that gave no mask this time has every action legal.

    Raises:
        ValueError: the mask's shape isn't [E, A].
    """
    mask = info.get("action_mask")
    if mask is None:
        return None
    if isinstance(mask, np.ndarray) and mask.dtype.hasobject:
        mask = np.stack([np.ones(num_actions, bool) if m is None else m for m in mask])
    mask = np.asarray(mask).astype(bool)
    if mask.shape != (num_envs, num_actions):
        raise ValueError(
            f"info['action_mask'] has the shape {mask.shape}, not {(num_envs, num_actions)}"
        )
    given = info.get("_action_mask")
    return mask if given is None else mask | ~np.asarray(given, bool)[:, None]


def describe_observation(space: gym.Space, name: str) -> tuple[tuple[int, ...], str, int | None]:
    """Return shape, type as stored, and the number of discrete states, if it is one.

    Raises:
        ValueError: networks have no use for such a space.
    """
    if isinstance(space, gym.spaces.Discrete) and space.start == 0:
        return (), "int64", int(space.n)
    if isinstance(space, gym.spaces.Box):
        if space.dtype == np.uint8 or space.dtype == np.bool_:
            return space.shape, str(space.dtype), None
        return space.shape, "float32", None
    if isinstance(space, gym.spaces.MultiBinary):
        return space.shape, "bool", None
    raise ValueError(
        f"id={name}: its observation space is {space}, but a network needs Box, MultiBinary or "
        "Discrete from 0; name a wrapper such as gymnasium.wrappers.FlattenObservation"
    )
