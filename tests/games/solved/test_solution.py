"""What is known exactly of a policy of a small game."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lightning_dqn.games.matches import play_both_seats
from lightning_dqn.games.opponents.perfect import PerfectOpponent
from lightning_dqn.games.opponents.policy import PolicyOpponent
from lightning_dqn.games.opponents.random import RandomOpponent
from lightning_dqn.games.solved.solution import ExactSolution
from lightning_dqn.games.solved.tree import GameTree
from lightning_dqn.games.tictactoe import TicTacToe

GAME = TicTacToe()
REWARDS = (100.0, -10.0, -100.0)
SETTINGS: list[dict[str, Any]] = [
    {},
    {"opponent": "random"},
    {"opponent": "random", "seat": "second", "rewards": REWARDS},
    {"opponent": "perfect", "seat": "first"},
]


@pytest.fixture(scope="module")
def tree() -> GameTree:
    return GameTree.of(GAME)


def some_values(tree: GameTree, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=tree.legal.shape)


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_the_optimum_has_no_error(tree: GameTree, setting: dict[str, Any]) -> None:
    solution = ExactSolution(tree, **setting)
    q_values = np.nan_to_num(solution.q_values(0.9))
    row = solution.errors(q_values, tree.greedy_policy(q_values), 0.9)
    assert row["q_rmse"] == row["mean_regret"] == 0.0
    q_values = np.nan_to_num(solution.q_values(1.0))
    row = solution.errors(q_values, tree.greedy_policy(q_values), 1.0)
    assert row["optimality_gap"] == pytest.approx(0.0, abs=1e-9)
    if setting.get("opponent") in (None, "perfect"):
        assert row["exploitability"] == pytest.approx(0.0, abs=1e-9)


def test_known_optima(tree: GameTree) -> None:
    for seat, value in (("first", 99.427), ("second", 91.926), ("random", 95.677)):
        solution = ExactSolution(tree, opponent="random", seat=seat, rewards=REWARDS)  # type: ignore[arg-type]
        assert solution.optimum == pytest.approx(value, abs=1e-3)
    assert ExactSolution(tree).optimum == 0.0
    assert ExactSolution(tree, opponent="perfect", rewards=REWARDS).optimum == -10.0


def test_only_positions_on_the_learners_turn_are_counted(tree: GameTree) -> None:
    first, second = (
        ExactSolution(tree, opponent="random", seat=seat).counted for seat in ("first", "second")
    )
    assert first[0]
    assert not (first & second).any()
    assert (first | second == ~tree.is_over).all()
    assert (ExactSolution(tree).counted == ~tree.is_over).all()
    assert (ExactSolution(tree, opponent="random").counted == ~tree.is_over).all()
    perfect = ExactSolution(tree, opponent="perfect", seat="second").counted
    assert not (perfect & ~second).any()
    assert 0 < perfect.sum() < second.sum()
    assert not tree.winning_moves()[perfect].any()  # it never lets anybody win


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_errors_are_what_loops_over_positions_find(tree: GameTree, setting: dict[str, Any]) -> None:
    solution, q_values = ExactSolution(tree, **setting), some_values(tree)
    exact = solution.q_values(0.9)
    squares, regrets, missed = [], [], {"win": [0, 0], "block": [0, 0]}
    moves = {"win": tree.winning_moves(), "block": tree.blocking_moves()}
    for p in np.flatnonzero(solution.counted):
        legal = np.flatnonzero(tree.legal[p])
        chosen = max(legal, key=lambda a: q_values[p, a])
        squares += [(q_values[p, a] - exact[p, a]) ** 2 for a in legal]
        regrets.append(max(exact[p, a] for a in legal) - exact[p, chosen])
        for name, wanted in moves.items():
            missed[name][0] += int(wanted[p].any() and not wanted[p, chosen])
            missed[name][1] += int(wanted[p].any())
    policy = tree.greedy_policy(q_values)
    row = solution.errors(q_values, policy, 0.9) | solution.tactics(policy)
    assert row["q_rmse"] == pytest.approx(np.sqrt(np.mean(squares)))
    assert row["mean_regret"] == pytest.approx(np.mean(regrets))
    for name, (number, out_of) in missed.items():
        assert row[f"missed_{name}s"] == number
        assert row[f"missed_{name}_rate"] == pytest.approx(number / max(1, out_of))
    assert missed["block"][0] > 0


def test_the_sign_of_gamma_is_the_settings(tree: GameTree) -> None:
    for setting in SETTINGS[:2]:
        solution = ExactSolution(tree, **setting)
        np.testing.assert_array_equal(solution.q_values(0.5), solution.q_values(-0.5))
        assert not np.array_equal(solution.q_values(0.5), solution.q_values(1.0), equal_nan=True)


def test_outcomes_agree_with_games_that_are_played(tree: GameTree) -> None:
    q_values = some_values(tree, 3)

    class Table:
        def act(self, observation: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
            own, other = ((observation == piece) @ (1 << np.arange(9)) for piece in (1, -1))
            position = tree.position_of(np.stack([own, other], axis=1))
            return np.where(mask, q_values[position], -np.inf).argmax(axis=1)

    policy = tree.greedy_policy(q_values)
    row = ExactSolution(tree).outcomes(policy)
    opponents = {"random": RandomOpponent(), "perfect": PerfectOpponent(GAME)}
    assert len(row) == 12
    for name, opponent in opponents.items():
        records = play_both_seats(
            GAME, PolicyOpponent(Table()), opponent, 4_000, np.random.default_rng(0)
        )
        for seat, record in records._asdict().items():
            for end, rate in record.rates.items():
                assert row[f"exact/{name}/{seat}/{end}"] == pytest.approx(rate, abs=0.03)


def test_nobody_exploits_a_policy_more_than_its_exploiter(tree: GameTree) -> None:
    policy = tree.greedy_policy(some_values(tree, 5))
    gains = tree.values_against(policy, (1.0, 0.0, -1.0))
    worst = tree.greedy_policy(gains)
    expected = np.mean(
        [tree.play(worst, policy).value(1, 0, -1), -tree.play(policy, worst).value(1, 0, -1)]
    )
    row = ExactSolution(tree).errors(some_values(tree, 5), policy, 1.0)
    assert row["exploitability"] == pytest.approx(expected)
    assert row["exploitability"] >= row["optimality_gap"] > 0
