"""Positions that random games lead to."""

from __future__ import annotations

import numpy as np

from lightning_dqn.collecting.exploration import random_actions
from lightning_dqn.games.game import Game
from lightning_dqn.games.opponents.random import RandomOpponent


def played_positions(game: Game, games: int, seed: int = 0) -> np.ndarray:
    """Return the positions of random games, the finished ones among them."""
    generator = np.random.default_rng(seed)
    state = game.initial_state(games)
    found = [state]
    while len(state):
        action = random_actions(len(state), game.num_actions, game.legal_moves(state), generator)
        state = game.apply(state, action)
        found.append(state)
        state = state[~game.outcome(state).is_over]
    return np.concatenate(found)


def some_positions(game: Game, count: int, plies: int) -> np.ndarray:
    """Return what is left of ``count`` random games after ``plies`` moves, none of them over."""
    generator, player = np.random.default_rng(plies), RandomOpponent()
    state = game.initial_state(count)
    for _ in range(plies):
        state = game.apply(state, player.act(game, state, generator))
        state = state[~game.outcome(state).is_over]
    return state
