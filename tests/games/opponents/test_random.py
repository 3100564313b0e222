"""The opponent that moves at random."""

from __future__ import annotations

import numpy as np
import pytest

from lightning_dqn.games.opponents.random import RandomOpponent
from lightning_dqn.games.tictactoe import TicTacToe

GAME = TicTacToe()


def test_random_moves_are_legal_and_equally_likely() -> None:
    state = np.repeat(np.array([[0b000010001, 0b100000010]]), 6_000, axis=0)
    action = RandomOpponent().act(GAME, state, np.random.default_rng(0))
    found = np.bincount(action, minlength=9)
    assert (found[[0, 1, 4, 8]] == 0).all()
    assert found[[2, 3, 5, 6, 7]] == pytest.approx(1_200, abs=130)
