"""What an opponent is.

Shapes: M boards.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from lightning_dqn.games.game import Game


class Opponent(Protocol):
    """Chooses moves; may keep weights, but nothing of a single game."""

    def act(self, game: Game, state: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Return a legal move for each of M boards that aren't over, int64[M].

        Args:
            game: the rules.
            state: the boards as the opponent, who is to move, sees them.
            generator: the source of chance.
        """
        ...
