"""The torus and the gambler: known solutions, and episodes as replay expects them."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from lightning_dqn import EnvironmentFactory
from lightning_dqn.environments.families import register_environments
from lightning_dqn.environments.tabular import GamblerVectorEnv, TabularVectorEnv, TorusVectorEnv
from lightning_dqn.environments.value_iteration import policy_value, solve

UP, DOWN, LEFT, RIGHT = range(4)


def play(environment: TabularVectorEnv, steps: int, seed: int = 0):
    """Yield state, action and what followed from it, of legal random actions."""
    generator = np.random.default_rng(seed)
    state, info = environment.reset(seed=seed)
    number, actions = environment.num_envs, environment.single_action_space.n
    for _ in range(steps):
        mask = info.get("action_mask", np.ones((number, actions), bool))
        action = np.where(mask, generator.random(mask.shape), -1).argmax(axis=1)
        following, reward, terminated, truncated, info = environment.step(action)
        yield state, action, following, reward, terminated, truncated
        state = following


@pytest.mark.parametrize(
    "make",
    [
        lambda: TorusVectorEnv(30, size=5, max_episode_steps=7),
        lambda: GamblerVectorEnv(30, goal=12),
        lambda: GamblerVectorEnv(30, goal=9, heads=0.7, first_capital=3),
    ],
    ids=["torus", "gambler", "gambler from 3"],
)
def test_what_happens_is_what_the_table_says(make):
    environment = make()
    mdp = environment.mdp(1.0)
    ended = np.zeros(30, bool)
    number, gained = np.zeros(mdp.reward.shape), np.zeros(mdp.reward.shape)
    begun = np.zeros(len(mdp.start))
    for state, action, following, reward, terminated, truncated in play(environment, 3_000):
        goes_on = ~ended
        outcomes = mdp.next_state[state, action] == following[:, None]
        assert outcomes.any(axis=1)[goes_on].all()
        ends = (mdp.terminated[state, action] & outcomes).any(axis=1)
        assert np.array_equal(terminated[goes_on], ends[goes_on])
        assert not (terminated & truncated).any()
        assert not (reward.any() and reward[ended].any())
        assert not (terminated | truncated)[ended].any()
        np.add.at(number, (state[goes_on], action[goes_on]), 1)
        np.add.at(gained, (state[goes_on], action[goes_on]), reward[goes_on])
        np.add.at(begun, following[ended], 1)
        ended = terminated | truncated
    often = number > 500
    assert often.any()
    assert (gained / number.clip(1))[often] == pytest.approx(mdp.reward[often], abs=0.07)
    assert begun / begun.sum() == pytest.approx(mdp.start, abs=0.03)


def test_the_torus_joins_its_edges_and_pays_minus_the_distance():
    mdp = TorusVectorEnv().mdp(0.9)
    assert mdp.next_state[0, :, 0].tolist() == [20 * 21, 21, 20, 1]
    assert mdp.reward[0, DOWN] == pytest.approx(-np.hypot(9, 10))
    goal = 10 * 21 + 10
    assert mdp.reward[goal - 1, RIGHT] == 0.0
    # At the goal the best is to step off and back: 0 and -1 in turn.
    value = mdp.greedy_value(solve(mdp))
    assert value[goal] == pytest.approx(-1 / (1 - 0.9**2))
    assert value[goal - 21] == pytest.approx(-0.9 / (1 - 0.9**2))


def test_an_episode_on_the_torus_is_cut_off_not_over():
    environment = TorusVectorEnv(2, max_episode_steps=3)
    told = [(tr.tolist(), te.any()) for *_, te, tr in play(environment, 9)]
    cut, goes_on = ([True, True], False), ([False, False], False)
    assert told == [goes_on, goes_on, cut, goes_on, goes_on, goes_on, cut, goes_on, goes_on]


def test_bold_play_is_best_against_the_odds():
    """With heads below a half nothing beats staking all one can (Dubins & Savage 1965)."""
    mdp = GamblerVectorEnv().mdp(1.0)
    value = mdp.greedy_value(solve(mdp))
    assert value[[25, 50, 75]] == pytest.approx([0.16, 0.4, 0.64])
    capital = np.arange(101)
    bold = np.minimum(capital, 100 - capital).clip(1) - 1
    assert policy_value(mdp, bold, horizon=200) == pytest.approx(value, abs=1e-9)


def test_the_gambler_stakes_what_there_is_and_is_missing_and_no_more():
    environment = GamblerVectorEnv(3, goal=10, first_capital=7)
    _, info = environment.reset(seed=0)
    assert info["action_mask"].tolist() == [[True, True, True, False, False]] * 3
    with pytest.raises(ValueError, match="not all are legal in the states"):
        environment.step(np.array([0, 3, 0]))


def test_seeds_decide_what_happens():
    def states(seed: int) -> list[list[int]]:
        return [s.tolist() for s, *_ in play(GamblerVectorEnv(5), 20, seed)]

    assert states(3) == states(3) != states(4)


@pytest.mark.parametrize("id", ["lightning_dqn/Torus-v0", "lightning_dqn/Gambler-v0"])
def test_gymnasium_knows_them_by_id(id):
    register_environments()
    register_environments()
    factory = EnvironmentFactory(id, num_envs=3)
    assert factory.spec.num_states == (441 if "Torus" in id else 101)
    assert factory.spec.has_action_mask is ("Gambler" in id)
    environment = factory.make()
    assert environment.num_envs == 3
    assert environment.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    assert environment.spec.id == id


def test_what_exists_as_vector_environment_only_cannot_be_wrapped_or_copied():
    message = "Torus-v0 exists as a vector environment only"
    with pytest.raises(ValueError, match=message):
        EnvironmentFactory("lightning_dqn/Torus-v0", vectorization="sync").make()
    with pytest.raises(ValueError, match="vectorization=native"):
        _ = EnvironmentFactory("lightning_dqn/Torus-v0", wrappers=[gym.Wrapper]).spec


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TorusVectorEnv(size=1), "size=1: at least 2"),
        (lambda: TorusVectorEnv(max_episode_steps=0), "max_episode_steps=0: at least 1"),
        (lambda: GamblerVectorEnv(goal=1), "goal=1: at least 2"),
        (lambda: GamblerVectorEnv(heads=1.2), "heads=1.2: a probability"),
        (lambda: GamblerVectorEnv(first_capital=100), "first_capital=100: between 1 and"),
    ],
)
def test_sizes_that_make_no_sense_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
