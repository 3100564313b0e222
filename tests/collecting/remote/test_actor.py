"""An actor in its own process: it goes on by all that its environments go by."""

from __future__ import annotations

import numpy as np
from support.shared_chance import SharedChance

from lightning_dqn import EnvironmentFactory
from lightning_dqn.collecting.exploration import Exploration
from lightning_dqn.collecting.remote.actor import ActorConfig, RemoteActor
from lightning_dqn.collecting.remote.block import Order
from lightning_dqn.system.seeding import generators_kept
from lightning_dqn.transitions import Rows


def collect(actor: RemoteActor, num_times: int) -> Rows:
    return actor.collect(Order(num_times, env_steps=0, is_random=True), None).rows


def test_an_actor_goes_on_with_the_generators_that_all_of_its_process_share() -> None:
    environment = EnvironmentFactory(
        "CartPole-v1", num_envs=2, vectorization="sync", wrappers=[SharedChance]
    )
    config = ActorConfig(
        environment=environment,
        spec=environment.spec,
        registration=None,
        exploration=Exploration(epsilon=1.0),
        num_envs=2,
        num_actors=1,
        seed=3,
        is_first=True,
    )
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
