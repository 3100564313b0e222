"""Opponents by their names."""

from __future__ import annotations

from typing import Any

import pytest
from support.scripted_opponent import LowestMove

from lightning_dqn.games.opponents.choice import opponent_name, opponent_of
from lightning_dqn.games.opponents.past_selves import PastSelves
from lightning_dqn.games.opponents.perfect import PerfectOpponent
from lightning_dqn.games.opponents.random import RandomOpponent
from lightning_dqn.games.opponents.search import SearchOpponent
from lightning_dqn.games.tictactoe import TicTacToe

GAME = TicTacToe()


def test_names_stand_for_opponents() -> None:
    assert isinstance(opponent_of("random", GAME), RandomOpponent)
    assert isinstance(opponent_of("perfect", GAME), PerfectOpponent)
    search = opponent_of("search:3", GAME)
    assert isinstance(search, SearchOpponent)
    assert search.depth == 3
    own = LowestMove()
    assert opponent_of(own, GAME) is own
    for name in ("search", "search:", "Random", "no/such/run"):
        with pytest.raises(ValueError, match=f"opponent='{name}': choose random, perfect"):
            opponent_of(name, GAME)
    with pytest.raises(ValueError, match="depth=0: at least 1"):
        opponent_of("search:0", GAME)


@pytest.mark.parametrize(
    ("opponent", "name"),
    [
        ("random", "random"),
        ("search:4", "search_4"),
        ("runs/mine/best-1.ckpt", "best_1"),
        ("runs/tictactoe", "tictactoe"),
        (SearchOpponent(2), "search_2"),
        (RandomOpponent(), "random"),
        (PastSelves(), "past_selves"),
        (LowestMove(), "lowest_move"),
    ],
)
def test_metrics_call_opponents_by_short_names(opponent: Any, name: str) -> None:
    assert opponent_name(opponent) == name
