"""Exact solutions against numbers worked out by hand and against a second solver."""

from __future__ import annotations

import dataclasses

import gymnasium as gym
import numpy as np
import pytest
from support.solved_games import Game, engine, nim

from lightning_dqn.environments.value_iteration import (
    TabularMDP,
    from_gymnasium,
    policy_value,
    solve,
)


def as_mdp(game: Game) -> TabularMDP:
    """Return a game of the tests as a process: every state is a possible outcome."""
    states = np.arange(len(game.reward))
    possible = game.legal[..., None] & (game.probability > 0)
    ends = ~game.legal.any(axis=1)
    return TabularMDP(
        probability=game.probability,
        next_state=np.broadcast_to(states, game.probability.shape),
        terminated=possible & ends,
        reward=game.reward,
        legal=game.legal,
        start=game.legal.any(axis=1) / game.legal.any(axis=1).sum(),
        gamma=game.gamma,
    )


def corridor(gamma: float) -> TabularMDP:
    """Return states 0, 1, 2: left leads to 0 for -1, right goes on; from 1 to 2 pays 3 and ends."""
    next_state = np.array([[[0], [1]], [[0], [2]], [[2], [2]]])
    return TabularMDP(
        probability=np.ones((3, 2, 1)),
        next_state=next_state,
        terminated=next_state == 2,
        reward=np.array([[-1.0, -1.0], [-1.0, 3.0], [0.0, 0.0]]),
        legal=np.array([[True, True], [True, True], [False, False]]),
        start=np.array([1.0, 0.0, 0.0]),
        gamma=gamma,
    )


def test_a_corridor_is_worth_what_it_pays_by_hand():
    expected = [[-1 + 0.5 * 0.5, -1 + 0.5 * 3], [-1 + 0.5 * 0.5, 3.0], [0.0, 0.0]]
    assert solve(corridor(0.5)) == pytest.approx(np.array(expected), abs=1e-9)
    undiscounted = solve(corridor(1.0))
    assert undiscounted.tolist() == [[1.0, 2.0], [1.0, 3.0], [0.0, 0.0]]


def test_a_policy_is_worth_what_it_gathers_up_to_the_horizon():
    mdp = corridor(1.0)
    assert policy_value(mdp, np.array([1, 1, 0])).tolist() == [2.0, 3.0, 0.0]
    assert policy_value(mdp, np.array([1, 0, 0]), horizon=4).tolist() == [-4.0, -4.0, 0.0]
    assert policy_value(corridor(0.5), np.array([0, 1, 0])).tolist() == [-2.0, 3.0, 0.0]


@pytest.mark.parametrize("game", [engine(), nim()], ids=["engine", "nim"])
def test_both_solvers_agree_also_under_self_play(game):
    mdp = as_mdp(game)
    q_values = solve(mdp)
    assert q_values == pytest.approx(game.optimal_q_values(), abs=1e-9)
    action = mdp.greedy(q_values)
    assert policy_value(mdp, action) == pytest.approx(mdp.greedy_value(q_values), abs=1e-8)
    assert policy_value(mdp, action) == pytest.approx(game.policy_value(action), abs=1e-12)


def test_no_value_is_further_off_than_the_tolerance():
    mdp = as_mdp(engine())
    exact = solve(mdp, tolerance=1e-12)
    assert 1e-4 < np.abs(solve(mdp, tolerance=1e-2) - exact).max() < 1e-2


def test_a_process_without_an_end_at_gamma_1_is_told_not_awaited():
    only_left = np.array([[True, False], [True, False], [False, False]])
    endless = dataclasses.replace(corridor(1.0), legal=only_left)
    with pytest.raises(RuntimeError, match="values still change by 1 after 50 sweeps"):
        solve(endless, max_sweeps=50)


def test_frozen_lake_is_won_three_times_in_four():
    lake = from_gymnasium(gym.make("FrozenLake-v1"), gamma=0.99)
    action = lake.greedy(solve(lake))
    won = lake.start @ policy_value(dataclasses.replace(lake, gamma=1.0), action, horizon=100)
    assert won == pytest.approx(0.74, abs=0.005)


def test_taxi_returns_eight_and_its_masks_change_nothing():
    for masks in (False, True):
        taxi = from_gymnasium(gym.make("Taxi-v4"), gamma=0.99, masks=masks)
        action = taxi.greedy(solve(taxi))
        undiscounted = dataclasses.replace(taxi, gamma=1.0)
        assert taxi.start @ policy_value(undiscounted, action, horizon=200) == pytest.approx(
            7.93, abs=0.005
        )
        assert taxi.legal.all() is not np.bool_(masks)


def test_what_has_no_table_or_too_large_a_discount_is_refused():
    with pytest.raises(ValueError, match="has no table P"):
        from_gymnasium(gym.make("CartPole-v1"), gamma=0.9)
    with pytest.raises(ValueError, match=r"gamma=1.1: at most 1"):
        corridor(1.1)
