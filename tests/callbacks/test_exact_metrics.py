"""What is known exactly of a policy, beside policies of which it is known."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from support.board_runs import ID, board_data, board_module

from lightning_dqn import DQN, EnvironmentFactory, ReplayDataModule
from lightning_dqn.callbacks import ExactMetrics
from lightning_dqn.games.matches import play_both_seats, play_matches
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


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, {}),
        ({"opponent": "random"}, {"opponent": "random"}),
        (
            {"opponent": "random", "seat": "second", "rewards": REWARDS},
            {"opponent": "random", "seat": "second", "rewards": REWARDS},
        ),
        ({"opponent": "perfect", "seat": "first"}, {"opponent": "perfect", "seat": "first"}),
    ],
    ids=str,
)
def test_the_setting_is_that_of_training(
    tree: GameTree, make_board_trainer: Any, environment: dict[str, Any], expected: dict[str, Any]
) -> None:
    sign = 1.0 if environment else -1.0
    module, data = board_module(), board_data(gamma=0.9 * sign, **environment)
    trainer = make_board_trainer(callbacks=[ExactMetrics()])
    trainer.fit(module, data)
    solution = ExactSolution(tree, **expected)
    q_values = np.zeros(tree.legal.shape)
    q_values[~tree.is_over] = module.q_values(GAME.encode(tree.state[~tree.is_over])).numpy()
    policy = tree.greedy_policy(q_values)
    errors = solution.errors(q_values, policy, 0.9)
    row = errors | solution.tactics(policy) | solution.outcomes(policy)
    for name, value in row.items():
        assert float(trainer.callback_metrics[f"eval/{name}"]) == pytest.approx(value), name
    [tested] = trainer.test(module, data, verbose=False)
    assert tested["test/mean_regret"] == pytest.approx(row["mean_regret"])


def test_another_setting_may_be_asked_for(tree: GameTree, make_board_trainer: Any) -> None:
    exact = ExactMetrics("random", seat="second", rewards=REWARDS)
    module, data = board_module(), board_data()
    [row] = make_board_trainer(callbacks=[exact]).validate(module, data, verbose=False)
    solution = ExactSolution(tree, opponent="random", seat="second", rewards=REWARDS)
    q_values = np.zeros(tree.legal.shape)
    q_values[~tree.is_over] = module.q_values(GAME.encode(tree.state[~tree.is_over])).numpy()
    expected = solution.errors(q_values, tree.greedy_policy(q_values), 1.0)
    assert row["eval/q_rmse"] == pytest.approx(expected["q_rmse"])
    assert row["eval/optimality_gap"] == pytest.approx(expected["optimality_gap"])


@pytest.mark.parametrize("encoding", ["planes", "index"])
def test_other_encodings_are_observed(encoding: str, make_board_trainer: Any) -> None:
    factory = EnvironmentFactory(ID, num_envs=4, kwargs={"encoding": encoding})
    torch.manual_seed(0)
    module = DQN(factory, network=[{"Linear": 8}, "ReLU"], compile=False)
    data = ReplayDataModule(factory, replay=board_data().replay_config)
    [row] = make_board_trainer(callbacks=[ExactMetrics()]).validate(module, data, verbose=False)
    assert row["eval/mean_regret"] > 0


def test_a_checkpoint_may_be_chosen_by_the_gap(tmp_path: Any, make_board_trainer: Any) -> None:
    best = ModelCheckpoint(
        tmp_path, monitor="eval/optimality_gap", mode="min", save_on_train_epoch_end=True
    )
    gaps: list[float] = []

    class Noting(ExactMetrics):
        def measure(self, trainer: Any, agent: Any) -> Any:
            row = super().measure(trainer, agent)
            gaps.append(row["optimality_gap"])
            return row

    trainer = make_board_trainer(
        callbacks=[best, Noting()], max_epochs=4, enable_checkpointing=True
    )
    trainer.fit(board_module(), board_data(opponent="random", rewards=REWARDS))
    assert len(gaps) == 4
    assert float(best.best_model_score) == pytest.approx(min(gaps))


def test_a_look_costs_little(make_board_trainer: Any) -> None:
    seconds: list[float] = []

    class Timed(ExactMetrics):
        def measure(self, trainer: Any, agent: Any) -> Any:
            began = time.process_time()
            row = super().measure(trainer, agent)
            seconds.append(time.process_time() - began)
            return row

    trainer = make_board_trainer(callbacks=[Timed()], max_epochs=7)
    trainer.fit(board_module(network=[{"Linear": 120}, "ReLU", {"Linear": 84}]), board_data())
    assert float(np.median(seconds)) < 0.06  # 0.03 where nothing else runs


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"opponent": "search:2"}, "no exact optimum against a SearchOpponent; choose"),
    ],
)
def test_settings_without_a_solution_are_refused(
    data: dict[str, Any], message: str, make_board_trainer: Any
) -> None:
    with pytest.raises(ValueError, match=message):
        make_board_trainer(callbacks=[ExactMetrics()]).fit(board_module(), board_data(**data))


def test_a_game_too_large_is_refused(make_board_trainer: Any) -> None:
    factory = EnvironmentFactory("lightning_dqn/ConnectFour-v0", num_envs=2)
    module = DQN(factory, network=[{"Linear": 8}])
    data = ReplayDataModule(factory, replay=board_data().replay_config)
    with pytest.raises(ValueError, match=r"ExactMetrics: connect_four has more .*Matches plays"):
        make_board_trainer(callbacks=[ExactMetrics()]).fit(module, data)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"opponent": "strong"}, "opponent='strong': choose training"),
        ({"seat": "third"}, "seat='third': choose first"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ExactMetrics(**arguments)


def test_a_second_player_sees_the_records_turned() -> None:
    """The first's losses are the second's wins."""
    generator = np.random.default_rng(0)
    record = play_matches(GAME, PerfectOpponent(GAME), RandomOpponent(), 200, generator)
    assert record.turned().losses == record.wins > 150
