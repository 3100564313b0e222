"""How actors explore: alike, or each with an epsilon of its own."""

import pytest

from lightning_dqn.collecting.exploration import Exploration
from lightning_dqn.collecting.remote.exploration import exploration_of
from lightning_dqn.schedules import LinearSchedule, as_schedule


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
