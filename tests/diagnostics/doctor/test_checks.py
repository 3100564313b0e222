"""What is wrong with an environment is found before a run; of those shipped nothing is."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from support.provocations import Endless, Small

from lightning_dqn.diagnostics.doctor.checks import check_environment
from lightning_dqn.diagnostics.doctor.looks import Check, time_limit
from lightning_dqn.environments.factory import EnvironmentFactory


class Good(Small):
    """Ends after 5 steps, with a reward of 1."""

    reward, scale, bound = 1.0, 1.0, 1.0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        observation, info = super().reset(seed=seed, options=options)
        return observation, {**info, **self.tell()}

    def step(self, action: int) -> Any:
        self.steps += 1
        return self.look(), self.reward, self.steps >= 5, False, self.tell()

    def look(self) -> np.ndarray:
        return super().look() * self.scale

    def tell(self) -> dict[str, Any]:
        return {}


class Unseeded(Good):
    chance = np.random.default_rng(0)

    def look(self) -> np.ndarray:
        return self.chance.uniform(-1, 1, 2).astype(np.float32)


class Remembering(gym.Wrapper):
    """Scales by how often it was stepped in its life."""

    taken = 0

    def step(self, action: Any) -> Any:
        self.taken += 1
        observation, *rest = self.env.step(action)
        return np.float32(observation / (1 + self.taken)), *rest


class Stuck(Good):
    """No action is legal in the middle of an episode."""

    def tell(self) -> dict[str, Any]:
        return {"action_mask": np.full(2, self.steps != 2)}


class Rich(Good):
    reward = 1e4


class Poor(Good):
    reward = 1e-4


class Infinite(Good):
    reward = float("nan")


class Large(Good):
    observation_space = gym.spaces.Box(-1e4, 1e4, (2,), np.float32)
    scale = 1e3


class Beyond(Good):
    scale = 3.0


def wrong(environment: Any, **arguments: Any) -> dict[str, Check]:
    factory = EnvironmentFactory.of(environment)
    checks, _ = check_environment(factory, steps=200, **arguments)
    return {check.name: check for check in checks if check.remedy is not None}


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        (Unseeded, "seeding"),
        (lambda: Remembering(Good()), "state over resets"),
        (EnvironmentFactory(Good, wrappers=[Remembering]), "state over resets"),
        (Stuck, "masks"),
        (Rich, "reward scale"),
        (Poor, "reward scale"),
        (Infinite, "numbers"),
        (Large, "observation scale"),
        (Beyond, "observation space"),
        (Beyond, "gymnasium's checker"),
        (Endless, "ends of episodes"),
    ],
)
def test_a_fault_is_found_with_what_to_do(environment: Any, name: str) -> None:
    assert name in wrong(environment)


@pytest.mark.parametrize(
    "environment",
    [
        EnvironmentFactory("lightning_dqn/TicTacToe-v0", kwargs={"opponent": "random"}),
        Good,
        "CartPole-v1",
        "FrozenLake-v1",
        "lightning_dqn/TicTacToe-v0",
        "lightning_dqn/Torus-v0",
    ],
)
def test_nothing_is_wrong_with_a_good_one(environment: Any) -> None:
    assert wrong(environment) == {}


def test_one_environment_under_many_names_is_found() -> None:
    one = Good()
    assert list(wrong(lambda: one)) == ["instances"]


def test_a_wrapper_with_state_is_named() -> None:
    found = wrong(EnvironmentFactory(Good, wrappers=[Remembering]))["state over resets"]
    assert "Remembering" in found.result


def test_rewards_that_are_clipped_may_be_large() -> None:
    assert "reward scale" in wrong(Rich)
    assert wrong(Rich, reward_clip=1.0) == {}


def test_a_reset_that_rewards_is_found() -> None:
    class Rewarding(gym.vector.VectorWrapper):
        def step(self, actions: Any) -> Any:
            observation, reward, *rest = super().step(actions)
            return observation, reward + 1.0, *rest

    class Factory(EnvironmentFactory):
        def make(self, *arguments: Any, **named: Any) -> Any:
            return Rewarding(super().make(*arguments, **named))

    assert "autoreset" in wrong(Factory(Good))


def test_the_mean_length_of_random_episodes_is_told() -> None:
    assert check_environment(EnvironmentFactory(Good), steps=60)[1] == 5.0
    assert check_environment(EnvironmentFactory(Endless), steps=60)[1] is None


@pytest.mark.parametrize(
    ("factory", "limit"),
    [
        (EnvironmentFactory("CartPole-v1"), 500),
        (EnvironmentFactory("CartPole-v1", kwargs={"max_episode_steps": 7}), 7),
        (EnvironmentFactory(Good), None),
    ],
)
def test_a_time_limit_is_known_where_gymnasium_has_it(
    factory: EnvironmentFactory, limit: int | None
) -> None:
    assert time_limit(factory) == limit
