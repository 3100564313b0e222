"""Tic-tac-toe: its pictures and its encodings."""

from __future__ import annotations

import numpy as np
import pytest
from support.played_games import played_positions

from lightning_dqn.games.tictactoe import TicTacToe


def test_a_turned_board_is_what_the_picture_shows() -> None:
    """Each symmetry of the square moves the pieces where its actions say."""
    game = TicTacToe()
    state = played_positions(game, 20)
    for number, moves in enumerate(game.symmetry_actions):
        turned = game.board(game.transform(state, np.full(len(state), number)))
        assert (turned.reshape(-1, 9)[:, moves] == game.board(state).reshape(-1, 9)).all()


def test_the_encodings_show_the_board() -> None:
    state = played_positions(TicTacToe(), 100)
    board = TicTacToe().board(state).reshape(-1, 9)
    assert (TicTacToe("signed").encode(state) == board).all()
    planes = TicTacToe("planes").encode(state)
    assert (planes == np.concatenate([board == 1, board == -1], axis=1)).all()
    digits = np.where(board < 0, 2, board)
    assert (TicTacToe("index").encode(state) == digits @ 3 ** np.arange(9)).all()


def test_an_unknown_encoding_is_refused() -> None:
    with pytest.raises(ValueError, match="encoding='flat': choose signed, planes, index"):
        TicTacToe("flat")  # type: ignore[arg-type]
