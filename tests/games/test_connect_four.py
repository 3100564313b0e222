"""Connect Four: its lines, its full board and what is observed of it."""

from __future__ import annotations

import numpy as np
import pytest
from support.naive_games import naive_connect_four
from support.played_games import played_positions

from lightning_dqn.games.connect_four import ConnectFour


@pytest.mark.parametrize("line", naive_connect_four().lines(), ids=str)
def test_each_line_of_four_wins_and_nothing_wraps(line: list[tuple[int, int]]) -> None:
    bits = [column * 7 + 5 - row for row, column in line]
    state = np.array([[0, sum(1 << bit for bit in bits)]], np.uint64)
    assert ConnectFour().outcome(state) == (np.array([True]), np.array([-1]))
    assert not ConnectFour().legal_moves(state).any()
    for missing in bits:
        three = state ^ np.array([[0, 1 << missing]], np.uint64)
        assert not ConnectFour().outcome(three).is_over[0]


def test_a_full_board_without_a_line_is_a_draw() -> None:
    columns = [[1, 1, -1, -1, 1, 1], [-1, -1, 1, 1, -1, -1]]
    own = other = 0
    for column in range(7):
        for height, piece in enumerate(columns[column // 2 % 2 if column < 6 else 1]):
            bit = 1 << (column * 7 + height)
            own, other = (own | bit, other) if piece == 1 else (own, other | bit)
    state = np.array([[own, other]], np.uint64)
    is_over, score = ConnectFour().outcome(state)
    assert (is_over.tolist(), score.tolist()) == ([True], [0])
    assert not ConnectFour().legal_moves(state).any()


def test_the_encoding_shows_the_board() -> None:
    state = played_positions(ConnectFour(), 20)
    board = ConnectFour().board(state)
    assert (ConnectFour().encode(state) == np.stack([board == 1, board == -1], axis=1)).all()


def test_a_piece_falls_onto_those_below_it() -> None:
    game = ConnectFour()
    state = game.initial_state(1)
    for row in range(5, -1, -1):
        assert game.legal_moves(state)[0, 3]
        assert game.action_cell(3, state) == (row, 3)
        state = game.apply(state, np.array([3]))
        assert game.board(state)[0, row, 3] == -1
    assert np.flatnonzero(~game.legal_moves(state)[0]).tolist() == [3]
