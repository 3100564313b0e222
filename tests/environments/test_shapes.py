"""Observations of another shape than was declared are refused, not broadcast."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from support.faulty_env import FaultyEnv

from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.environments.shapes import ShapedVectorEnv


@pytest.fixture(params=["sync", "async"])
def vectorization(request) -> Iterator[str]:
    return request.param


def test_copies_of_unequal_spaces_are_refused_with_what_they_need():
    spaces = iter([gym.spaces.Discrete(2), gym.spaces.Discrete(2), gym.spaces.Discrete(3)])

    def make() -> gym.Env[Any, Any]:
        environment = FaultyEnv()
        environment.action_space = next(spaces)
        return environment

    told = r"^environment 2 has .*Discrete\(3\), environment 0 .*: .* all need the same spaces$"
    with pytest.raises(ValueError, match=told):
        ShapedVectorEnv([make] * 3)


def made(vectorization: Any, **fault: Any) -> gym.vector.VectorEnv:
    factory = EnvironmentFactory(
        partial(FaultyEnv, **fault), num_envs=2, vectorization=vectorization
    )
    assert factory.spec.observation_shape == (2,)
    return factory.make()


@pytest.mark.parametrize(("fault", "shape"), [("scalar", "(1,)"), ("too long", "(3,)")])
def test_another_shape_in_a_step_is_refused_by_environment_and_step(vectorization, fault, shape):
    environment = made(vectorization, fault=fault, at=2)
    environment.reset()
    environment.step(np.zeros(2, np.int64))
    environment.step(np.zeros(2, np.int64))
    with pytest.raises(RuntimeError) as caught:
        environment.step(np.zeros(2, np.int64))
    environment.close()
    assert (
        f"environment 0 gave an observation of the shape {shape} at step 3: expected (2,), as its "
        "observation_space declares; mend the environment"
    ) in str(caught.value)


@pytest.mark.parametrize("fault", ["scalar", "too long"])
def test_another_shape_in_a_reset_is_refused(vectorization, fault):
    environment = made(vectorization, fault=fault, when="reset", at=1)
    environment.reset()
    with pytest.raises(RuntimeError, match=r"environment 0 gave an observation of the shape"):
        environment.reset()
    environment.close()
