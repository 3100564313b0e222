"""An opponent that moves at random.

Shapes: M boards.
"""

from __future__ import annotations

import numpy as np

from lightning_dqn.collecting.exploration import random_actions
from lightning_dqn.games.game import Game


class RandomOpponent:
    """Every legal move is equally likely."""

    def act(self, game: Game, state: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Return random legal moves, int64[M]."""
        return random_actions(len(state), game.num_actions, game.legal_moves(state), generator)
