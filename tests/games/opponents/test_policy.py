"""Networks as opponents: policies, run folders, checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.played_games import some_positions
from support.scripted_opponent import Always

from lightning_dqn import DQN, EnvironmentSpec
from lightning_dqn.formats.saved import save_weights
from lightning_dqn.games.environment import BoardGameVectorEnv
from lightning_dqn.games.opponents.choice import opponent_of
from lightning_dqn.games.opponents.policy import CheckpointOpponent, PolicyOpponent
from lightning_dqn.games.tictactoe import TicTacToe

GAME = TicTacToe()


def tictactoe_agent(**other: Any) -> DQN:
    torch.manual_seed(0)
    fields: dict[str, Any] = {"game": "tictactoe", "has_action_mask": True, **other}
    spec = EnvironmentSpec(
        **{"observation_shape": (9,), "observation_dtype": "float32", "num_actions": 9, **fields}
    )
    return DQN(spec, network=[{"Linear": 16}, "ReLU"])


def test_a_policy_sees_what_a_learner_would_see() -> None:
    game, policy = TicTacToe("planes"), Always(4)
    state = some_positions(game, 10, 2)
    action = PolicyOpponent(policy).act(game, state, np.random.default_rng(0))
    assert (policy.observations[0] == game.encode(state)).all()
    assert game.legal_moves(state)[np.arange(10), action].all()
    assert (action[game.legal_moves(state)[:, 4]] == 4).all()


def test_epsilon_makes_a_policy_random_that_often() -> None:
    state = GAME.initial_state(8_000)
    action = PolicyOpponent(Always(4), epsilon=0.36).act(GAME, state, np.random.default_rng(0))
    assert (action == 4).mean() == pytest.approx(0.64 + 0.04, abs=0.02)
    with pytest.raises(ValueError, match=r"epsilon=1\.5: a probability"):
        PolicyOpponent(Always(4), epsilon=1.5)


def test_a_run_folder_and_a_checkpoint_play_as_the_agent_did(
    tmp_path: Path, make_trainer: Any
) -> None:
    agent = tictactoe_agent()
    save_weights(agent.agent, tmp_path)
    trainer = make_trainer()
    trainer.strategy.connect(agent)
    trainer.save_checkpoint(path := tmp_path / "a.ckpt")
    state = some_positions(GAME, 50, 3)
    expected = agent.act(GAME.encode(state), GAME.legal_moves(state))
    for place in (tmp_path, path, str(path)):
        found = CheckpointOpponent(place).act(GAME, state, np.random.default_rng(0))
        assert (found == expected).all()
        by_name = opponent_of(str(place), GAME)
        assert (by_name.act(GAME, state, np.random.default_rng(0)) == expected).all()


@pytest.mark.parametrize(
    ("agent", "message"),
    [
        ({"game": "connect_four"}, "learned to play connect_four, not tictactoe"),
        ({"num_actions": 7, "game": None}, "chooses among 7 actions, but tictactoe has 9"),
        ({"observation_shape": (18,)}, r"of the shape \(18,\).*observed as \(9,\).*encoding"),
    ],
)
def test_an_agent_of_another_game_is_refused(
    tmp_path: Path, agent: dict[str, Any], message: str
) -> None:
    save_weights(tictactoe_agent(**agent).agent, tmp_path)
    with pytest.raises(ValueError, match=message):
        BoardGameVectorEnv(GAME, 1, opponent=str(tmp_path))
    with pytest.raises(ValueError, match=message):
        CheckpointOpponent(tmp_path).act(GAME, GAME.initial_state(1), np.random.default_rng(0))


def test_a_checkpoint_that_is_not_there_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no such file"):
        CheckpointOpponent(tmp_path / "missing")
