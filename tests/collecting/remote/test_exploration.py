"""How actors explore: alike, or each with an epsilon of its own."""

import pytest

from lightning_dqn import DQN
from lightning_dqn.collecting.exploration import Exploration
from lightning_dqn.collecting.remote.actor import ActorConfig, RemoteActor
from lightning_dqn.collecting.remote.block import BlockRequest
from lightning_dqn.collecting.remote.exploration import exploration_of
from lightning_dqn.collecting.remote.policy_snapshot import pack
from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.schedules import LinearSchedule, as_schedule
from lightning_dqn.transitions import NO_ACTION


def test_epsilons_are_those_of_ape_x():
    config = Exploration(epsilon=0.4, random_action_max_steps=3)
    made = [exploration_of(config, i, 3, alpha=7.0) for i in range(3)]
    found = [as_schedule(one.epsilon)(0) for one in made]
    assert found == pytest.approx([0.4, 0.4**4.5, 0.4**8])
    assert {one.random_action_max_steps for one in made} == {3}


def test_the_powers_follow_a_schedule():
    config = Exploration(epsilon=LinearSchedule(1.0, 0.5, 10))
    epsilon = exploration_of(config, 1, 2, alpha=1.0).epsilon
    assert [epsilon(env_steps) for env_steps in (0, 10)] == [1.0, 0.25]


def test_without_alpha_and_with_one_actor_all_explore_alike():
    config = Exploration(epsilon=0.4)
    assert exploration_of(config, 1, 2, alpha=None) == config
    assert exploration_of(config, 0, 1, alpha=7.0) == config


@pytest.mark.parametrize("num_actors", [1, 8])
def test_within_a_block_schedules_go_by_what_all_actors_collect(num_actors):
    environment = EnvironmentFactory("CartPole-v1")
    epsilon = LinearSchedule(1.0, 0.0, 10_000)
    actor = RemoteActor(
        ActorConfig(
            environment=environment,
            spec=environment.spec,
            registration=None,
            exploration=Exploration(epsilon=epsilon),
            num_envs=1,
            num_actors=num_actors,
            seed=0,
            is_first=True,
        )
    )
    snapshot = pack(DQN(environment, compile=False).behaviour_policy(), 0)
    block = actor.collect(BlockRequest(256, 4_000, is_random=False), snapshot)
    own = int((block.rows.action != NO_ACTION).sum())
    assert own > 200
    assert block.epsilon == pytest.approx(epsilon(4_000 + num_actors * own))
    actor.close()
