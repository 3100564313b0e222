"""Both games beside a naive twin, over thousands of random games."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from support.naive_games import NaiveBoard, naive_connect_four, naive_tictactoe

from lightning_dqn.collecting.exploration import random_actions
from lightning_dqn.games.connect_four import ConnectFour
from lightning_dqn.games.game import Game
from lightning_dqn.games.tictactoe import TicTacToe

PAIRS = pytest.mark.parametrize(
    ("game", "naive", "games"),
    [(TicTacToe(), naive_tictactoe, 1_000), (ConnectFour(), naive_connect_four, 60)],
    ids=["tictactoe", "connect_four"],
)
GAMES = pytest.mark.parametrize("game", [TicTacToe(), ConnectFour()], ids=lambda game: game.name)


def played_positions(game: Game, games: int, seed: int = 0) -> np.ndarray:
    """Return the positions of random games, the finished ones among them."""
    generator = np.random.default_rng(seed)
    state = game.initial_state(games)
    found = [state]
    while len(state):
        action = random_actions(len(state), game.num_actions, game.legal_moves(state), generator)
        state = game.apply(state, action)
        found.append(state)
        state = state[~game.outcome(state).is_over]
    return np.concatenate(found)


@PAIRS
def test_random_games_go_as_the_naive_twin_plays_them(
    game: Game, naive: Callable[[], NaiveBoard], games: int
) -> None:
    generator = np.random.default_rng(1)
    state, twins = game.initial_state(games), [naive() for _ in range(games)]
    scores = []
    while len(state):
        legal = game.legal_moves(state)
        is_over, score = game.outcome(state)
        for i, twin in enumerate(twins):
            assert np.flatnonzero(legal[i]).tolist() == twin.legal()
            assert bool(is_over[i]) == twin.is_over()
            assert score[i] == twin.winner() * twin.mover
            assert (game.board(state)[i] * twin.mover).tolist() == twin.cells
        scores += score[is_over].tolist()
        state = state[~is_over]
        twins = [twin for twin in twins if not twin.is_over()]
        legal = game.legal_moves(state)
        action = random_actions(len(state), game.num_actions, legal, generator)
        for i, twin in enumerate(twins):
            assert game.action_cell(int(action[i]), state[i : i + 1]) == twin.target(action[i])
            twin.play(int(action[i]))
        state = game.apply(state, action)
    assert len(scores) == games
    assert set(scores) <= {-1, 0}
    assert -1 in scores


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


@GAMES
def test_moving_and_transforming_commute(game: Game) -> None:
    state = played_positions(game, 100)
    state = state[~game.outcome(state).is_over]
    generator = np.random.default_rng(2)
    action = random_actions(len(state), game.num_actions, game.legal_moves(state), generator)
    moves = game.symmetry_actions
    assert (moves[0] == np.arange(game.num_actions)).all()
    for number in range(len(moves)):
        symmetry = np.full(len(state), number)
        moved = game.apply(game.transform(state, symmetry), moves[number][action])
        turned = game.transform(game.apply(state, action), symmetry)
        assert (moved == turned).all()
        legal = game.legal_moves(game.transform(state, symmetry))
        assert (legal[:, moves[number]] == game.legal_moves(state)).all()


@GAMES
def test_symmetries_leave_the_outcome_and_are_a_group(game: Game) -> None:
    state = played_positions(game, 100)
    moves = game.symmetry_actions
    as_rows = {tuple(row) for row in moves.tolist()}
    assert len(as_rows) == len(moves) == {"tictactoe": 8, "connect_four": 2}[game.name]
    assert {tuple(a[b]) for a in moves for b in moves} == as_rows
    symmetry = np.random.default_rng(3).integers(len(moves), size=len(state))
    for found, expected in zip(
        game.outcome(game.transform(state, symmetry)), game.outcome(state), strict=True
    ):
        assert (found == expected).all()


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
    state = played_positions(ConnectFour(), 20)
    board = ConnectFour().board(state)
    assert (ConnectFour().encode(state) == np.stack([board == 1, board == -1], axis=1)).all()


@pytest.mark.parametrize(
    "game",
    [TicTacToe("signed"), TicTacToe("planes"), TicTacToe("index"), ConnectFour()],
    ids=lambda game: f"{game.name}-{getattr(game, 'encoding', '')}",
)
def test_observations_lie_in_their_space(game: Game) -> None:
    for observation in game.encode(played_positions(game, 5)):
        assert game.observation_space.contains(observation)


def test_an_unknown_encoding_is_refused() -> None:
    with pytest.raises(ValueError, match="encoding='flat': choose signed, planes, index"):
        TicTacToe("flat")  # type: ignore[arg-type]
