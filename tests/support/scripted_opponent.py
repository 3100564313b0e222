"""An opponent whose moves are known beforehand."""

from __future__ import annotations

import numpy as np

from lightning_dqn.games.game import Game


class LowestMove:
    """Makes the legal move of the lowest number, and keeps the boards it was shown."""

    def __init__(self) -> None:
        self.seen: list[np.ndarray] = []

    def act(self, game: Game, state: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        self.seen.append(state.copy())
        return game.legal_moves(state).argmax(axis=1)
