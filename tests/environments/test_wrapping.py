"""Wrappers: the environment's own rewards beside those that they make, and what is refused."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import pytest
from support.scripted_env import EpisodeScript, ScriptedEnv

from lightning_dqn.collecting.evaluation import play_episodes
from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.environments.wrapping import OWN_REWARD, wrap
from lightning_dqn.transitions import Episode

tenfold = partial(gym.wrappers.TransformReward, func=lambda reward: 10 * reward)


class SkipOne(gym.Wrapper[Any, Any, Any, Any]):
    """Steps twice, and shows the last reward alone."""

    def step(self, action: Any) -> Any:
        first = self.env.step(action)
        return first if first[2] else self.env.step(action)


class EndAfterTwo(gym.Wrapper[Any, Any, Any, Any]):
    """Says after two steps that the episode has ended; a reset then goes on with it, as lives."""

    time = 0
    goes_on = False

    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, info = self.env.step(action)
        self.time += 1
        self.goes_on = self.time % 2 == 0 and not terminated
        self.last = observation, info
        return observation, reward, terminated or self.goes_on, truncated, info

    def reset(self, **kwargs: Any) -> Any:
        return self.last if self.goes_on else self.env.reset(**kwargs)


class Zero:
    """Takes action 0 always."""

    def act(self, observation: np.ndarray, action_mask: Any = None, noise: Any = None) -> Any:
        return np.zeros(len(observation), np.int64)


def played(wrappers: list[Any], number: int, vectorization: Any = "sync") -> list[Episode]:
    """Return episodes of the rewards 1, 2, 3, 4, 5, 6."""
    script = [EpisodeScript((1.0, 2.0, 3.0, 4.0, 5.0, 6.0))]
    factory = EnvironmentFactory(
        partial(ScriptedEnv, script), num_envs=2, vectorization=vectorization, wrappers=wrappers
    )
    environment = factory.make()
    try:
        episodes = play_episodes(environment, factory.spec, Zero(), episodes_per_env=number)
        return list(episodes)
    finally:
        environment.close()


@pytest.mark.parametrize("vectorization", ["sync", "async"])
def test_returns_are_those_of_the_environment_and_beside_them_those_of_wrappers(vectorization):
    assert played([tenfold], 2, vectorization) == [Episode(21.0, 6, wrapped_return=210.0)] * 4


def test_without_wrappers_there_is_one_return():
    assert played([], 2) == [Episode(21.0, 6)] * 4


def test_rewards_within_a_skipped_frame_count():
    assert played([SkipOne], 1) == [Episode(21.0, 3, wrapped_return=2.0 + 4.0 + 6.0)] * 2


def test_each_life_has_the_rewards_that_came_in_it():
    lives = played([EndAfterTwo, tenfold], 3)
    assert lives == [
        Episode(own, 2, wrapped_return=10 * own) for own in (3.0, 7.0, 11.0) for _ in range(2)
    ]


def test_what_a_wrapper_does_in_its_reset_does_not_count():
    class StepsFirst(gym.Wrapper[Any, Any, Any, Any]):
        def reset(self, **kwargs: Any) -> Any:
            self.env.reset(**kwargs)
            observation, _, _, _, info = self.env.step(0)
            return observation, info

    assert played([StepsFirst], 2) == [Episode(20.0, 5, wrapped_return=20.0)] * 4


def test_the_info_of_the_environment_is_left_alone():
    class Remembers(ScriptedEnv):
        given: ClassVar[dict[str, Any]] = {"mine": 1}

        def _info(self) -> dict[str, Any]:
            return self.given

    environment = wrap(Remembers([EpisodeScript((1.0, 2.0))]), [tenfold], "Remembers")
    environment.reset()
    info = environment.step(0)[4]
    assert info == {"mine": 1, OWN_REWARD: 1.0}
    assert Remembers.given == {"mine": 1}


def test_a_wrapper_that_gives_no_environment_is_refused():
    factory = EnvironmentFactory("CartPole-v1", wrappers=[lambda environment: None])  # type: ignore[list-item,return-value]
    with pytest.raises(ValueError, match=r"gave a NoneType, not a gymnasium\.Env"):
        factory.spec  # noqa: B018


@pytest.mark.parametrize("name", ["TimeLimit", "ClipReward"])
def test_a_wrapper_that_lacks_arguments_is_named_with_how_they_are_given(name):
    factory = EnvironmentFactory("CartPole-v1", wrappers=[f"gymnasium.wrappers.{name}"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match=rf"^wrappers: {name} couldn't.*partial\({name}, \.\.\.\)"):
        factory.spec  # noqa: B018


@pytest.mark.parametrize("vectorization", ["sync", "async"])
@pytest.mark.parametrize("keeps", [gym.wrappers.NormalizeObservation, gym.wrappers.NormalizeReward])
def test_running_statistics_are_refused_wherever_they_are_kept(keeps, vectorization):
    def inside() -> gym.Env[Any, Any]:
        return keeps(gym.make("CartPole-v1"))

    given = gym.make_vec("CartPole-v1", 2, vectorization_mode=vectorization, wrappers=[keeps])
    outside = getattr(gym.wrappers.vector, keeps.__name__)(
        gym.make_vec("CartPole-v1", 2, vectorization_mode=vectorization)
    )
    for factory in (
        EnvironmentFactory("CartPole-v1", wrappers=[keeps], vectorization=vectorization),
        EnvironmentFactory("CartPole-v1", wrappers=[keeps, tenfold]),
        EnvironmentFactory(inside, vectorization=vectorization),
        EnvironmentFactory(given),
        EnvironmentFactory(outside),
    ):
        with pytest.raises(ValueError, match=r"CartPole-v1|inside") as caught:
            factory.spec  # noqa: B018
        assert "keeps running statistics, which evaluation" in str(caught.value)
    given.close()
    outside.close()


def test_fixed_scaling_is_welcome():
    rescaled = partial(
        gym.wrappers.RescaleObservation, min_obs=np.float32(-1), max_obs=np.float32(1)
    )
    factory = EnvironmentFactory("MountainCar-v0", wrappers=[rescaled, tenfold])
    assert factory.spec.observation_shape == (2,)


# A VectorEnv that trains, and its twin for evaluation


def test_wrappers_in_the_record_of_a_vector_environment_are_in_its_twin():
    given = gym.make_vec("CartPole-v1", 2, vectorization_mode="sync", wrappers=[tenfold])
    twin = EnvironmentFactory(given).make(3)
    twin.reset(seed=0)
    assert twin.step(np.zeros(3, np.int64))[1].tolist() == [10.0] * 3
    twin.close()
    given.close()


@pytest.mark.parametrize("how", ["around", "inside"])
def test_wrappers_that_would_vanish_from_a_twin_are_told(how):
    if how == "around":
        bare = gym.make_vec("CartPole-v1", 2)
        given: Any = gym.wrappers.vector.TransformReward(bare, lambda reward: 10 * reward)
    else:
        record = gym.make("CartPole-v1").spec
        assert record is not None
        wrapped = gym.wrappers.TimeAwareObservation(gym.make("CartPole-v1"))
        assert wrapped.spec is not None
        given = gym.make_vec(wrapped.spec, 2, vectorization_mode="sync")
    with pytest.raises(ValueError, match=r"its record, with all wrappers; .*EvaluationConfig"):
        EnvironmentFactory(given).make(3)
    given.close()
