"""A learner's own past as its opponent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.scripted_opponent import Always

from lightning_dqn.games.opponents.past_selves import PastSelves
from lightning_dqn.games.tictactoe import TicTacToe

GAME = TicTacToe()


def test_past_selves_are_drawn_by_board_and_the_newest_most() -> None:
    pool = PastSelves(p_latest=0.4, epsilon=0.0, capacity=3)
    state = GAME.initial_state(6_000)
    generator = np.random.default_rng(0)
    at_random = np.bincount(pool.act(GAME, state, generator), minlength=9)
    assert at_random == pytest.approx(6_000 / 9, abs=110)
    for favourite in (8, 2, 4, 6):
        pool.add(Always(favourite))
    shares = np.bincount(pool.act(GAME, state, generator), minlength=9) / 6_000
    assert shares[[2, 4, 6]] == pytest.approx([0.2, 0.2, 0.6], abs=0.03)
    assert shares.sum() == pytest.approx(shares[[2, 4, 6]].sum())
    pool.clear()
    assert len(set(pool.act(GAME, state, generator).tolist())) == 9


def test_past_selves_make_mistakes() -> None:
    pool = PastSelves(epsilon=0.45)
    pool.add(Always(4))
    action = pool.act(GAME, GAME.initial_state(8_000), np.random.default_rng(0))
    assert (action == 4).mean() == pytest.approx(0.55 + 0.05, abs=0.02)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"p_latest": -0.1}, "p_latest=-0.1"),
        ({"epsilon": 2}, "epsilon=2"),
        ({"capacity": 0}, "capacity=0: at least 1"),
    ],
)
def test_wrong_sizes_of_a_pool_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PastSelves(**arguments)
