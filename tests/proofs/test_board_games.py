"""Solved games are learned to the last position: each experiment as shipped, measured exactly.

Slow: `make test-slow`, or one of them with `pytest -m slow -k tictactoe`.
"""

from pathlib import Path

import pytest

from lightning_dqn.dqn import DQN
from lightning_dqn.games.solved.solution import ExactSolution
from lightning_dqn.games.solved.tree import GameTree
from lightning_dqn.games.tictactoe import TicTacToe
from lightning_dqn.runs import run as training
from lightning_dqn.runs.compose import compose

# torch's own, on compiling
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")

SETTING = {"opponent": "random", "seat": "second", "rewards": (100.0, -10.0, -100.0)}


def trained(experiment: str, seed: int, folder: Path) -> DQN:
    config = compose([f"+experiment={experiment}", f"seed={seed}"])
    config.run_dir = str(folder)
    made = training.prepare(config)
    training.run(made)
    return made.module


def measured(module: DQN, game: TicTacToe, solution: ExactSolution, gamma: float) -> dict:
    tree = solution.tree
    q_values = module.q_values(game.encode(tree.state)).double().numpy()
    policy = tree.greedy_policy(q_values)
    parts = (solution.errors(q_values, policy, gamma), solution.tactics(policy))
    return parts[0] | parts[1] | solution.outcomes(policy)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("experiment", ["tictactoe", "tictactoe_table"])
def test_self_play_learns_tic_tac_toe_exactly(experiment: str, seed: int, tmp_path: Path) -> None:
    """No move of any of the 4,520 positions gives anything away, or wins later than it could."""
    game = TicTacToe("planes" if experiment == "tictactoe" else "index")
    solution = ExactSolution(GameTree.of(game))
    found = measured(trained(experiment, seed, tmp_path), game, solution, gamma=-0.75)
    assert found["mean_regret"] == pytest.approx(0.0, abs=1e-12)
    assert found["missed_wins"] == 0
    assert found["missed_blocks"] == 0
    assert found["exploitability"] == pytest.approx(0.0, abs=1e-12)
    assert found["exact/perfect/first/loss_rate"] == 0
    assert found["exact/perfect/second/loss_rate"] == 0


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(5))
def test_the_best_against_random_moves_is_reached(seed: int, tmp_path: Path) -> None:
    game = TicTacToe()
    solution = ExactSolution(GameTree.of(game), **SETTING)
    found = measured(trained("tictactoe_vs_random", seed, tmp_path), game, solution, gamma=1.0)
    assert found["optimality_gap"] <= 0.5
    assert found["exact/random/second/win_rate"] >= 0.9344 - 0.005
    assert found["exact/random/second/loss_rate"] <= 0.015
