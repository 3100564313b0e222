"""An actor in its own process: it goes on by all that its environments go by."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from support.shared_chance import SharedChance

from lightning_dqn import EnvironmentFactory
from lightning_dqn.collecting.exploration import Exploration
from lightning_dqn.collecting.remote.actor import ActorConfig, RemoteActor
from lightning_dqn.collecting.remote.block import BlockRequest
from lightning_dqn.system.seeding import generators_kept
from lightning_dqn.transitions import Rows


class MasksAtEvenTimes(gym.Wrapper):
    """Allows action 1 alone at even times, and says nothing at odd ones."""

    def reset(self, **arguments: Any) -> tuple[Any, dict[str, Any]]:
        self.time = 0
        observation, _ = self.env.reset(**arguments)
        return observation, self._info()

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        assert self.time % 2 or action == 1
        self.time += 1
        observation, reward, terminated, truncated, _ = self.env.step(action)
        return observation, reward, terminated, truncated, self._info()

    def _info(self) -> dict[str, Any]:
        return {} if self.time % 2 else {"action_mask": np.array([False, True])}


def collect(actor: RemoteActor, num_times: int) -> Rows:
    return actor.collect(BlockRequest(num_times, env_steps=0, is_random=True), None).rows


def config_of(environment: EnvironmentFactory) -> ActorConfig:
    return ActorConfig(
        environment=environment,
        spec=environment.spec,
        registration=None,
        exploration=Exploration(epsilon=1.0),
        num_envs=environment.num_envs,
        num_actors=1,
        seed=3,
        is_first=True,
    )


def test_an_actor_goes_on_with_the_generators_that_all_of_its_process_share() -> None:
    environment = EnvironmentFactory(
        "CartPole-v1", num_envs=2, vectorization="sync", wrappers=[SharedChance]
    )
    config = config_of(environment)
    with generators_kept():
        actor = RemoteActor(config)
        collect(actor, 5)
        state = actor.state_dict()
        assert isinstance(state, dict)
        expected = collect(actor, 20)
        continued = RemoteActor(config)
        assert continued.load_state_dict(state)
        found = collect(continued, 20)
    np.testing.assert_array_equal(found.reward, expected.reward)
    np.testing.assert_array_equal(found.observation, expected.observation)
    assert len(np.unique(expected.reward)) > 20


@pytest.mark.filterwarnings("ignore:environment 0 gave no info")
def test_what_follows_says_what_is_legal_where_an_environment_says_nothing() -> None:
    environment = EnvironmentFactory(
        "CartPole-v1", num_envs=2, vectorization="sync", wrappers=[MasksAtEvenTimes]
    )
    with generators_kept():
        actor = RemoteActor(config_of(environment))
        masks = [
            actor.collect(BlockRequest(1, env_steps=0, is_random=True), None).following.action_mask
            for _ in range(2)
        ]
    np.testing.assert_array_equal(masks[0], np.ones((2, 2), bool))
    np.testing.assert_array_equal(masks[1], [[False, True]] * 2)
