"""Random and epsilon-greedy actions."""

from __future__ import annotations

import numpy as np
import pytest

from lightning_dqn.collecting.exploration import (
    HeldActions,
    epsilon_greedy,
    gumbel_noise,
    random_actions,
)

NUM_ENVS = 40_000


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def shares(actions: np.ndarray, num_actions: int) -> np.ndarray:
    return np.bincount(actions, minlength=num_actions) / len(actions)


def test_an_environment_with_no_legal_action_gets_some_action_all_the_same(generator):
    actions = random_actions(5, 3, np.zeros((5, 3), bool), generator)
    assert ((actions >= 0) & (actions < 3)).all()


def test_the_only_legal_action_is_always_taken(generator):
    only = generator.integers(3, size=NUM_ENVS)
    mask = np.arange(3) == only[:, None]
    assert (random_actions(NUM_ENVS, 3, mask, generator) == only).all()


def test_random_actions_are_uniform(generator):
    actions = random_actions(NUM_ENVS, 4, None, generator)
    assert actions.dtype == np.int64
    assert shares(actions, 4) == pytest.approx([0.25] * 4, abs=0.01)


def test_random_actions_are_uniform_among_the_legal_ones(generator):
    mask = np.tile([True, False, True, True], (NUM_ENVS, 1))
    actions = random_actions(NUM_ENVS, 4, mask, generator)
    assert actions.dtype == np.int64
    assert shares(actions, 4) == pytest.approx([1 / 3, 0, 1 / 3, 1 / 3], abs=0.01)


def test_epsilon_zero_keeps_every_greedy_action(generator):
    greedy = generator.integers(4, size=NUM_ENVS)
    assert (epsilon_greedy(greedy, 0.0, 4, None, generator)[0] == greedy).all()


def test_epsilon_one_keeps_only_what_chance_repeats(generator):
    greedy = np.zeros(NUM_ENVS, np.int64)
    assert shares(epsilon_greedy(greedy, 1.0, 4, None, generator)[0], 4) == pytest.approx(
        [0.25] * 4, abs=0.01
    )


def test_epsilon_is_the_probability_of_a_random_action(generator):
    greedy = np.full(NUM_ENVS, 2)
    actions, explores = epsilon_greedy(greedy, 0.4, 4, None, generator)
    assert explores.mean() == pytest.approx(0.4, abs=0.01)
    assert (actions[~explores] == 2).all()
    assert shares(actions, 4) == pytest.approx([0.1, 0.1, 0.7, 0.1], abs=0.01)


def test_exploring_respects_the_mask(generator):
    mask = np.tile([True, False, True, False], (NUM_ENVS, 1))
    actions, _ = epsilon_greedy(np.zeros(NUM_ENVS, np.int64), 0.5, 4, mask, generator)
    assert shares(actions, 4) == pytest.approx([0.75, 0, 0.25, 0], abs=0.01)


def test_each_environment_explores_on_its_own(generator):
    actions, _ = epsilon_greedy(np.zeros(100, np.int64), 0.5, 1_000, None, generator)
    assert 20 < (actions > 0).sum() < 80


def test_the_same_generator_draws_the_same_actions():
    one, same = (random_actions(50, 4, None, np.random.default_rng(7)) for _ in range(2))
    assert (one == same).all()


def test_a_random_action_lasts_any_number_of_steps_up_to_the_longest_alike(generator):
    held = HeldActions(NUM_ENVS, 3, generator)
    everywhere, nowhere = np.ones(NUM_ENVS, bool), np.zeros(NUM_ENVS, bool)
    held.apply(np.ones(NUM_ENVS, np.int64), everywhere, None)
    lasting = [
        (held.apply(np.zeros(NUM_ENVS, np.int64), nowhere, None) == 1).mean() for _ in range(3)
    ]
    assert lasting == pytest.approx([2 / 3, 1 / 3, 0.0], abs=0.01)


def test_with_one_step_nothing_is_held(generator):
    held = HeldActions(50, 1, generator)
    held.apply(np.ones(50, np.int64), np.ones(50, bool), None)
    assert not held.apply(np.zeros(50, np.int64), np.zeros(50, bool), None).any()


def test_a_held_action_is_dropped_when_it_is_illegal_or_its_episode_ends(generator):
    held = HeldActions(NUM_ENVS, 1_000, generator)
    everywhere, nowhere = np.ones(NUM_ENVS, bool), np.zeros(NUM_ENVS, bool)
    held.apply(np.ones(NUM_ENVS, np.int64), everywhere, None)
    only_zero = np.tile([True, False], (NUM_ENVS, 1))
    assert not held.apply(np.zeros(NUM_ENVS, np.int64), nowhere, only_zero).any()
    held.apply(np.ones(NUM_ENVS, np.int64), everywhere, None)
    held.forget(everywhere)
    assert not held.apply(np.zeros(NUM_ENVS, np.int64), nowhere, None).any()


def test_the_best_of_noisy_values_is_drawn_from_their_softmax():
    values, temperature, draws = np.array([1.0, 0.0, -2.0]), 0.7, 100_000
    noise = gumbel_noise(draws, 3, temperature, np.random.default_rng(0))
    assert noise.dtype == np.float32
    found = np.bincount((values + noise).argmax(axis=1), minlength=3) / draws
    expected = np.exp(values / temperature) / np.exp(values / temperature).sum()
    np.testing.assert_allclose(found, expected, atol=4 * np.sqrt(0.25 / draws))
