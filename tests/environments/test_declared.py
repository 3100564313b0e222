"""What isn't as declared is refused with who gave it, before an array makes it something else."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from lightning_dqn.environments.declared import (
    DeclaredObservation,
    WrongGiven,
    about_shape,
    as_end,
    as_reward,
    expected_shape,
)
from lightning_dqn.environments.factory import EnvironmentFactory

Box = gym.spaces.Box
IMAGE = Box(0, 255, (2,), np.uint8)
VECTOR = Box(-np.inf, np.inf, (2,), np.float32)


class Giving(gym.Env):
    """Gives something else in its second step, where its seed is odd."""

    metadata = {"render_modes": [], "resume": "restart"}  # noqa: RUF012 (gymnasium's own)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, space: gym.Space, **given: Any) -> None:
        self.observation_space = space
        self.given = given

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.time = 0
        self.is_odd = bool(seed and seed % 2)
        return np.zeros(self.observation_space.shape, self.observation_space.dtype), {}

    def step(self, action: Any) -> Any:
        self.time += 1
        zeros = np.zeros(self.observation_space.shape, self.observation_space.dtype)
        usual = {
            "observation": zeros,
            "reward": 1.0,
            "terminated": False,
            "truncated": False,
            "info": {},
        }
        return tuple({**usual, **(self.given if self.is_odd and self.time == 2 else {})}.values())


WRONG: list[tuple[gym.Space, dict[str, Any], str]] = [
    (IMAGE, {"observation": np.full(2, 0.9)}, "observation 0.9: expected a whole number from 0 to"),
    (IMAGE, {"observation": np.full(2, 300)}, "observation 300: expected a whole number from 0 to"),
    (IMAGE, {"observation": np.full(2, -1)}, "observation -1: expected a whole number from 0 to"),
    (IMAGE, {"observation": ["a", "b"]}, "observation of the type <U1, not numbers"),
    (Box(-9, 9, (2,), np.int8), {"observation": np.full(2, 200)}, "observation 200: .* to 127"),
    (gym.spaces.Discrete(5), {"observation": 1.7}, "observation 1.7: expected a whole number"),
    (VECTOR, {"observation": np.full(2, 1e300)}, "observation 1e\\+300: .* that float32 holds"),
    (VECTOR, {"observation": np.full(2, 2**24 + 1)}, "observation 16777217: .*up to 16,777,216"),
    (VECTOR, {"terminated": "False"}, "terminated 'False': expected 0 or 1"),
    (VECTOR, {"terminated": 0.5}, "terminated 0.5: expected 0 or 1"),
    (VECTOR, {"truncated": None}, "truncated None: expected 0 or 1"),
    (VECTOR, {"truncated": np.zeros(2)}, "truncated .*: expected 0 or 1"),
    (VECTOR, {"reward": "1.5"}, "reward '1.5': expected one number"),
    (VECTOR, {"reward": None}, "reward None: expected one number"),
    (VECTOR, {"reward": np.array([1.0])}, "reward array.*: expected one number"),
    (VECTOR, {"info": None}, "info None: expected a dict"),
    (VECTOR, {"info": {}, "more": 1}, "6 values in a step: expected 5, observation, reward,"),
]


@pytest.mark.parametrize("vectorization", ["sync", "async"])
@pytest.mark.parametrize(("space", "given", "message"), WRONG, ids=str)
def test_what_is_not_as_declared_is_refused(space, given, message, vectorization):
    kwargs = {"space": space, **given}
    factory = EnvironmentFactory(Giving, num_envs=2, vectorization=vectorization, kwargs=kwargs)
    environment = factory.make()
    environment.reset(seed=[0, 1])
    environment.step(np.zeros(2, np.int64))
    with pytest.raises(RuntimeError, match=f"environment 1 gave {message}"):
        environment.step(np.zeros(2, np.int64))
    environment.close()


@pytest.mark.parametrize(
    ("space", "given", "taken"),
    [
        (IMAGE, np.array([3.0, 255.0]), [3, 255]),
        (IMAGE, [0, 7], [0, 7]),
        (VECTOR, np.array([0.1, 2.0]), [np.float32(0.1), 2.0]),
        (VECTOR, np.array([True, False]), [1.0, 0.0]),
        (Box(0, 1, (2,), np.float64), np.array([2**53, 1]), [2**53, 1]),
        (gym.spaces.Discrete(5), 3, 3),
        (gym.spaces.Discrete(5), np.float64(4.0), 4),
    ],
)
def test_numbers_of_another_type_that_say_the_same_are_taken(space, given, taken):
    found = DeclaredObservation(space).take(given, 1)
    assert found.dtype == space.dtype
    np.testing.assert_array_equal(found, taken)


def test_rewards_and_ends_of_other_types_are_taken():
    assert [as_reward(one) for one in (1, True, np.int8(3), np.array(2.5))] == [1, 1, 3, 2.5]
    ends = [as_end("terminated", one) for one in (True, np.True_, 1, 0.0, np.array(1))]
    assert ends == [True, True, True, False, True]
    with pytest.raises(WrongGiven):
        as_end("terminated", 2)


def test_the_shape_is_known_of_what_is_one_array():
    assert expected_shape(gym.spaces.Box(0, 1, (2, 3))) == (2, 3)
    assert expected_shape(gym.spaces.Discrete(4)) == ()
    assert expected_shape(gym.spaces.Dict(one=gym.spaces.Discrete(4))) is None


def test_a_number_has_no_shape():
    assert "of the shape ()" in about_shape(1.0, (2,), 1)
