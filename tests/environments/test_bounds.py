"""Observations outside the space that was declared for them."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from lightning_dqn.environments.bounds import Bounds


def box(low: Any, high: Any, dtype: Any = np.float32) -> gym.spaces.Box:
    return gym.spaces.Box(np.array(low, dtype), np.array(high, dtype), dtype=dtype)


@pytest.mark.parametrize(
    ("space", "observation"),
    [
        (box([-1, 0], [1, 5]), [0.0, 5.1]),
        (box([-1, -np.inf], [1, np.inf]), [-1.01, 1e9]),
        (box([-np.inf, 0], [np.inf, np.inf]), [0.0, -1.0]),
        (box([0.0, 0.0], [1e-3, 1.0], np.float64), [0.0015, 0.5]),
        (box([0, 0], [1, 9], np.uint8), [0, 10]),
        (box([-5, 0], [5, 9], np.int64), [-6, 3]),
    ],
)
def test_what_lies_outside_is_told_once_with_its_value(space, observation):
    bounds = Bounds(space)
    given = np.array([[space.low.clip(-1, 1), observation]], space.dtype)
    with pytest.warns(UserWarning, match="outside the space that the environment declares"):
        bounds.look(given)
    bounds.look(given)  # a second warning would be an error


def test_what_lies_inside_or_at_a_rounded_bound_is_silent():
    bounds = Bounds(box([-1, -np.inf], [0.1, np.inf]))
    bounds.look(np.array([[-1, -1e30], [np.float32(0.1) + np.float32(1e-8), 1e30]], np.float32))
    assert Bounds(box([0], [255], np.uint8))._limits is None, "a look at images would take time"
    for space in (gym.spaces.Discrete(3), gym.spaces.MultiBinary(2), box([0], [255], np.uint8)):
        Bounds(space).look(np.array([[700.0]]))  # those are refused elsewhere
