"""What every game keeps: both beside a naive twin, over thousands of random games."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from support.naive_games import NaiveBoard, naive_connect_four, naive_tictactoe
from support.nim_game import Nim
from support.played_games import played_positions

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


@pytest.mark.parametrize(
    "game",
    [TicTacToe("signed"), TicTacToe("planes"), TicTacToe("index"), ConnectFour()],
    ids=lambda game: f"{game.name}-{getattr(game, 'encoding', '')}",
)
def test_observations_lie_in_their_space(game: Game) -> None:
    for observation in game.encode(played_positions(game, 5)):
        assert game.observation_space.contains(observation)


def test_a_game_that_says_nothing_of_it_has_no_symmetry_and_numbers_its_cells() -> None:
    game = Nim()
    state = played_positions(game, 5)
    assert game.symmetry_actions.tolist() == [[0, 1]]
    assert (game.transform(state, np.zeros(len(state), np.int64)) == state).all()
    assert TicTacToe().move_name(4) == "5"
    assert [TicTacToe().action_cell(action, state) for action in (0, 5, 8)] == [
        (0, 0),
        (1, 2),
        (2, 2),
    ]
