"""Environments whose state can't be read or put back, though it could be when they were tried."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import pytest
from support.scripted_env import IdentityEnv
from support.scripted_policies import ScriptedLearner

from lightning_dqn.collecting.source import CollectionConfig, EnvironmentSource
from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.transitions import NO_ACTION

STEPS_READABLE = 200
"""More than a trial takes."""


class Film(gym.Wrapper):
    """Holds what can't be read after so many steps, as a video that has grown too long."""

    def __init__(self, environment: gym.Env) -> None:
        super().__init__(environment)
        self.num_steps = 0
        self.film: Any = None

    def step(self, action: Any) -> Any:
        self.num_steps += 1
        if self.num_steps > STEPS_READABLE:
            self.film = iter([1])
        return super().step(action)


def source_of(make: Callable[[], gym.Env], vectorization: Any) -> EnvironmentSource:
    factory = EnvironmentFactory(make, num_envs=2, vectorization=vectorization)
    return CollectionConfig().make(
        factory, warmup_env_steps=2 * STEPS_READABLE, env_steps_per_iteration=4, seed=0
    )


@pytest.mark.parametrize("vectorization", ["sync", "async"])
def test_a_save_without_the_environments_is_told_once_and_ends_open_episodes(
    vectorization: Any,
) -> None:
    source = source_of(lambda: Film(IdentityEnv()), vectorization)
    continued = source_of(lambda: Film(IdentityEnv()), vectorization)
    learner = ScriptedLearner()
    try:
        for _ in source.warm_up(learner):
            pass
        assert source.state_dict()["environments"] is not None
        source.collect(learner)
        with pytest.warns(UserWarning, match=r"can't be saved .*list_iterator.* as truncated"):
            state = source.state_dict()
        assert state["environments"] is None
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert source.state_dict()["environments"] is None
        source.collect(learner)
        last = continued.load_state_dict(state)
        assert last is not None
        assert (last.action == NO_ACTION).all()
        continued.collect(learner)
    finally:
        source.close()
        continued.close()


class Holds(gym.Wrapper):
    """Holds an object of a class that another environment hasn't."""

    def __init__(self, environment: gym.Env) -> None:
        super().__init__(environment)
        self.held = Held()


class Held:
    """An object of an environment of then."""


@pytest.mark.parametrize(
    ("vectorization", "were_read"), [("sync", True), ("async", True), ("async", False)]
)
def test_environments_that_cannot_be_put_back_end_open_episodes_and_go_on(
    vectorization: Any, were_read: bool
) -> None:
    source = source_of(lambda: Holds(IdentityEnv()), vectorization)
    continued = source_of(IdentityEnv, vectorization)
    learner = ScriptedLearner()
    try:
        for _ in source.warm_up(learner):
            pass
        state = source.state_dict()
        if not were_read:  # as workers told it once
            state["environments"] = [None, None]
        with pytest.warns(UserWarning, match=r"isn't as it was .* end as truncated"):
            last = continued.load_state_dict(state)
        assert last is not None
        assert (last.action == NO_ACTION).all()
        assert continued.collect(learner).new_env_steps == 4
    finally:
        source.close()
        continued.close()
