"""An opponent that knows a small game by heart.

Shapes: M boards, P positions, A actions.
"""

from __future__ import annotations

import numpy as np

from lightning_dqn.collecting.exploration import random_actions
from lightning_dqn.games.game import Game
from lightning_dqn.games.solved.tree import GameTree

SAME_VALUE = 1e-9


class PerfectOpponent:
    """Makes one of the moves that keep what the game is worth, each equally likely.

    It never loses what isn't lost, but waits for the other's mistakes where nothing is won: among
    moves that lead to a draw it doesn't look for the trickier one, nor for the shorter win.

    Args:
        game: the rules; all its positions are found and solved here.

    Raises:
        ValueError: the game is too large for that.
    """

    def __init__(self, game: Game) -> None:
        try:
            self._tree = GameTree.of(game)
        except ValueError as error:
            raise ValueError(
                f"opponent='perfect': {error}; choose search:4, which looks four moves ahead"
            ) from error
        self.best = self._tree.greedy_policy(self._tree.self_play_values(), SAME_VALUE) > 0

    def act(self, game: Game, state: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Return one of the best legal moves, int64[M].

        Raises:
            ValueError: a board isn't one of the game that was solved.
        """
        best = self.best[self._tree.position_of(state)]
        return random_actions(len(state), game.num_actions, best, generator)
