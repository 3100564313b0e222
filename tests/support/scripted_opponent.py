"""Opponents and policies whose moves are known beforehand."""

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


class Always:
    """A policy that prefers the move of a fixed number."""

    def __init__(self, favourite: int) -> None:
        self.favourite = favourite
        self.observations: list[np.ndarray] = []

    def act(self, observation: np.ndarray, action_mask: np.ndarray | None = None) -> np.ndarray:
        assert action_mask is not None
        self.observations.append(observation)
        favoured = action_mask[:, self.favourite]
        return np.where(favoured, self.favourite, action_mask.argmax(axis=1))
