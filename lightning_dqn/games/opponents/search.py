"""An opponent that looks a few moves ahead.

Shapes: M boards, A actions.
"""

from __future__ import annotations

import numpy as np

from lightning_dqn.collecting.exploration import random_actions
from lightning_dqn.games.game import Game
from lightning_dqn.system.numbers import whole_number

BOARDS_AT_ONCE = 16_384
"""Boards whose moves are looked at together; a search holds ``depth`` such levels in memory."""


class SearchOpponent:
    """Tries all moves ``depth`` plies ahead, and knows of what comes then only if it is over.

    It wins as soon and loses as late as it sees, and is random where it sees no difference.

    Args:
        depth: own and other moves looked ahead: 1 takes a win at once, 2 also prevents one.
    """

    def __init__(self, depth: int) -> None:
        self.depth = whole_number("depth", depth, least=1)

    def act(self, game: Game, state: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Return one of the best legal moves, int64[M]."""
        values = search_values(game, state, self.depth)
        best = values == values.max(axis=1, keepdims=True)
        return random_actions(len(state), game.num_actions, best, generator)


def search_values(game: Game, state: np.ndarray, depth: int) -> np.ndarray:
    """Return what each move leads to with best play of both for ``depth`` plies, int16[M, A].

    A win by the n-th ply is worth ``depth + 1 - n``, so that sooner is better, a loss its
    negative; 0 is a draw or unknown, and moves that aren't legal have ``-depth - 1``. Where one
    move wins at once the others stay 0: nothing can be better.
    """
    if len(state) > BOARDS_AT_ONCE:
        pieces = range(0, len(state), BOARDS_AT_ONCE)
        parts = [search_values(game, state[i : i + BOARDS_AT_ONCE], depth) for i in pieces]
        return np.concatenate(parts)
    values = np.full((len(state), game.num_actions), -depth - 1, np.int16)
    board, action = np.nonzero(game.legal_moves(state))
    children = game.apply(state[board], action)
    is_over, score = game.outcome(children)
    # A child is as the other sees it: what is bad there is good here.
    value = score.astype(np.int16) * -depth
    if depth > 1:
        has_win = np.zeros(len(state), bool)
        has_win[board[value > 0]] = True
        goes_on = ~is_over & ~has_win[board]
        value[goes_on] = -search_values(game, children[goes_on], depth - 1).max(axis=1)
    values[board, action] = value
    return values
