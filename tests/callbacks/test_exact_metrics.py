"""What is logged of an agent of a small game, beside what is known exactly of it."""

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
from lightning_dqn.games.solved.solution import ExactSolution
from lightning_dqn.games.solved.tree import GameTree
from lightning_dqn.games.tictactoe import TicTacToe

GAME = TicTacToe()
REWARDS = (100.0, -10.0, -100.0)


@pytest.fixture(scope="module")
def tree() -> GameTree:
    return GameTree.of(GAME)


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


def test_self_play_has_no_seat(make_board_trainer: Any) -> None:
    for exact in (ExactMetrics("self", seat="first"), ExactMetrics(seat="second")):
        with pytest.raises(ValueError, match=r"seat='(first|second)': in self-play there is a"):
            make_board_trainer(callbacks=[exact]).fit(board_module(), board_data())


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
