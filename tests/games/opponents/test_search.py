"""The opponent that looks a few moves ahead, beside plain recursion."""

from __future__ import annotations

import time

import numpy as np
import pytest
from support.played_games import some_positions

from lightning_dqn.games.connect_four import ConnectFour
from lightning_dqn.games.game import Game
from lightning_dqn.games.opponents.search import SearchOpponent, search_values
from lightning_dqn.games.solved.tree import GameTree
from lightning_dqn.games.tictactoe import TicTacToe

GAME = TicTacToe()


def minimax(game: Game, state: np.ndarray, depth: int) -> dict[int, int]:
    """Return the worth of each move by plain recursion, one board at a time."""
    worth = {}
    for action in np.flatnonzero(game.legal_moves(state)[0]):
        child = game.apply(state, np.array([action]))
        is_over, score = (int(part[0]) for part in game.outcome(child))
        if is_over:
            worth[int(action)] = -score * depth
        else:
            answers = minimax(game, child, depth - 1) if depth > 1 else {0: 0}
            worth[int(action)] = -max(answers.values())
    return worth


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("game", [GAME, ConnectFour()], ids=lambda game: game.name)
def test_search_finds_what_plain_recursion_finds(game: Game, depth: int) -> None:
    few = 12 if depth > 2 else 40
    plies = 4 if game is GAME else 18
    state = some_positions(game, few, plies)
    found = search_values(game, state, depth)
    differences = 0
    for i in range(len(state)):
        expected = minimax(game, state[i : i + 1], depth)
        best = max(expected.values())
        best_moves = [action for action, value in expected.items() if value == best]
        assert found[i].max() == best
        assert np.flatnonzero(found[i] == best).tolist() == best_moves
        differences += len(best_moves) < len(expected)
    assert differences > 0


def test_search_wins_sooner_and_loses_later() -> None:
    tree = GameTree.of(GAME)
    going = tree.state[~tree.is_over]
    values = search_values(GAME, going, 4)
    best = values.max(axis=1)
    action = SearchOpponent(4).act(GAME, going, np.random.default_rng(0))
    made = values[np.arange(len(going)), action]
    assert (made == best).all()
    wins_later = ((values == 2).any(axis=1) & (best == 4)).sum()
    loses_later = ((values == -3).any(axis=1) & (best == -1)).sum()
    # A win at once ends the search of that board, so later wins aren't even looked for.
    assert wins_later == 0
    assert loses_later > 0
    assert set(best.tolist()) == {4, 2, 0, -1, -3}


def test_search_is_random_where_it_sees_no_difference() -> None:
    state = GAME.initial_state(5_000)
    action = SearchOpponent(2).act(GAME, state, np.random.default_rng(0))
    assert np.bincount(action, minlength=9) == pytest.approx(5_000 / 9, abs=100)


def test_search_in_pieces_is_search_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    state = some_positions(ConnectFour(), 30, 14)
    whole = search_values(ConnectFour(), state, 3)
    monkeypatch.setattr("lightning_dqn.games.opponents.search.BOARDS_AT_ONCE", 5)
    assert (search_values(ConnectFour(), state, 3) == whole).all()


def test_search_is_quick_enough_to_train_against() -> None:
    state = some_positions(ConnectFour(), 200, 6)
    began = time.process_time()
    SearchOpponent(4).act(ConnectFour(), state, np.random.default_rng(0))
    assert len(state) / (time.process_time() - began) > 200


def test_it_looks_at_least_one_move_ahead() -> None:
    with pytest.raises(ValueError, match="depth=0: at least 1"):
        SearchOpponent(0)
