"""The opponent that knows a small game by heart."""

from __future__ import annotations

import numpy as np
import pytest

from lightning_dqn.games.connect_four import ConnectFour
from lightning_dqn.games.opponents.perfect import PerfectOpponent
from lightning_dqn.games.solved.tree import GameTree
from lightning_dqn.games.tictactoe import TicTacToe

GAME = TicTacToe()


def test_the_perfect_player_makes_every_best_move_and_no_other() -> None:
    tree, perfect = GameTree.of(GAME), PerfectOpponent(GAME)
    q_values = np.where(tree.legal, tree.self_play_values(), -np.inf)
    best = q_values == q_values.max(axis=1, keepdims=True)
    going = np.flatnonzero(~tree.is_over)
    generator = np.random.default_rng(0)
    made = np.zeros_like(best)
    for _ in range(80):
        action = perfect.act(GAME, tree.state[going], generator)
        assert best[going, action].all()
        made[going, action] = True
    assert (made[going] == best[going]).mean() > 0.999


def test_the_perfect_player_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ValueError, match=r"connect_four has more than .*choose search:4"):
        PerfectOpponent(ConnectFour())
    with pytest.raises(ValueError, match="no legal moves of tictactoe lead to"):
        PerfectOpponent(GAME).act(GAME, np.array([[0b111, 0]]), np.random.default_rng(0))
