"""Numbers in any type that says the same, and casts that would change one."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from lightning_dqn.environments.exact import describe_observation, exact
from lightning_dqn.environments.observations import exact_action_mask, exact_observation
from lightning_dqn.environments.spec import EnvironmentSpec

VECTOR = EnvironmentSpec((2,), "float32", num_actions=3)
IMAGE = EnvironmentSpec((2,), "uint8", num_actions=3)
BITS = EnvironmentSpec((2,), "bool", num_actions=3)
STATES = EnvironmentSpec((), "int64", num_actions=3, num_states=16)

# Observations


@pytest.mark.parametrize(
    ("space", "described"),
    [
        (gym.spaces.Discrete(16), ((), "int64", 16)),
        (gym.spaces.Box(-1, 1, (4,), np.float32), ((4,), "float32", None)),
        (gym.spaces.Box(0, 255, (84, 84, 3), np.uint8), ((84, 84, 3), "uint8", None)),
        (gym.spaces.Box(0, 1, (2, 2), np.bool_), ((2, 2), "bool", None)),
        (gym.spaces.MultiBinary(5), ((5,), "bool", None)),
        (gym.spaces.MultiBinary((3, 2)), ((3, 2), "bool", None)),
        (gym.spaces.Box(0, 1, (), np.float32), ((), "float32", None)),
    ],
    ids=str,
)
def test_spaces_are_described_as_they_are_stored(space, described):
    assert describe_observation(space, "mine") == described


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int32, np.uint16])
def test_other_numbers_are_taken_as_float32(dtype):
    space = gym.spaces.Box(0, 1, (2, 3), dtype)
    assert describe_observation(space, "mine") == ((2, 3), "float32", None)


@pytest.mark.parametrize(
    "space",
    [
        gym.spaces.Dict({"a": gym.spaces.Box(0, 1, (2,))}),
        gym.spaces.Tuple([gym.spaces.Discrete(2)]),
        gym.spaces.Discrete(3, start=1),
        gym.spaces.MultiDiscrete([2, 3]),
    ],
    ids=str,
)
def test_observations_that_no_network_takes_are_refused_with_the_remedy(space):
    with pytest.raises(ValueError, match=r"^id=mine: its observation space is .*Flatten") as told:
        describe_observation(space, "mine")
    assert str(space) in str(told.value)


# Casts


@pytest.mark.parametrize(
    ("spec", "given", "taken"),
    [
        (VECTOR, np.array([[0.1, 2.0]]), [[np.float32(0.1), 2.0]]),
        (VECTOR, np.array([[2**24, -(2**24)]]), [[2.0**24, -(2.0**24)]]),
        (VECTOR, np.array([[True, False]]), [[1.0, 0.0]]),
        (IMAGE, np.array([[0, 255]]), [[0, 255]]),
        (IMAGE, np.array([[3.0, 7.0]]), [[3, 7]]),
        (BITS, np.array([[1, 0]]), [[True, False]]),
        (BITS, np.array([[1.0, 0.0]]), [[True, False]]),
        (STATES, np.array([0, 15], np.int8), [0, 15]),
        (STATES, np.array([2.0]), [2]),
    ],
)
def test_a_cast_that_keeps_the_values_is_made(spec: Any, given: Any, taken: Any) -> None:
    found = exact(given, spec)
    assert found.dtype == np.dtype(spec.observation_dtype)
    np.testing.assert_array_equal(found, taken)


@pytest.mark.parametrize(
    ("spec", "given", "message"),
    [
        (IMAGE, np.array([[0.5, 1.0]]), "observation 0.5: expected a whole number from 0 to 255"),
        (IMAGE, np.array([[1, 256]]), "observation 256: expected a whole number from 0 to 255"),
        (IMAGE, np.array([[-1, 0]]), "observation -1: expected a whole number from 0 to 255"),
        (IMAGE, np.array([[np.nan, 0]]), "observation nan: expected a whole number"),
        (BITS, np.array([[2, 0]]), "observation 2: expected 0 or 1"),
        (
            STATES,
            np.array([3, 16]),
            "environment 1 gave observation 16: expected a state from 0 to 15",
        ),
        (STATES, np.array([-1]), "observation -1: expected a state from 0 to 15"),
        (STATES, np.array([2.7]), "observation 2.7: expected a state from 0 to 15"),
        (STATES, np.array([True]), "of the type bool, not the number of a state"),
        (VECTOR, np.array([[2**24 + 1, 0]]), "observation 16777217: expected a whole number up to"),
        (VECTOR, np.array([["a", "b"]]), "of the type <U1, not numbers"),
    ],
)
def test_a_cast_that_would_change_a_value_is_refused(spec: Any, given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        exact(given, spec)


@pytest.mark.parametrize(
    ("spec", "given", "message"),
    [
        (STATES, np.array([3, 16]), "^observation 16: expected a state"),
        (VECTOR, np.array([[1e39, 0]]), r"^observation 1e\+39: expected a number that float32"),
        (BITS, np.array([[2, 0]]), "^observation 2: expected 0 or 1"),
    ],
)
def test_what_a_caller_gave_is_not_said_to_be_of_an_environment(
    spec: Any, given: Any, message: str
) -> None:
    for observation in (given, torch.from_numpy(given)):
        with pytest.raises(ValueError, match=message):
            exact_observation(observation, spec)
    with pytest.raises(ValueError, match=r"^action_mask 2: expected 0 or 1"):
        exact_action_mask(np.array([[1, 2]]), (1, 2))
