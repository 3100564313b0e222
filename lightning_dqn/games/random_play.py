"""Games against the player who makes every legal move with the same chance, many at once.

Shapes: P positions, M boards, A actions.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lightning_dqn.games.game import Game
from lightning_dqn.games.game_tree import Result


def play_random(
    chances: Callable[[np.ndarray, np.ndarray], np.ndarray], game: Game, games: int, seed: int
) -> Result:
    """Play against the random player; who is looked at begins in every second game.

    Args:
        chances: from states [M, ...] and their legal moves bool[M, A] to how likely each move is
            made, float64[M, A].
        game: the rules.
        games: how many, at least 2.
        seed: of all moves.
    """
    generator = np.random.default_rng(seed)
    state = game.initial_state(games)
    has_move = np.arange(games) % 2 == 0
    playing = np.arange(games)
    score = np.zeros(games)
    while len(playing):
        legal = game.legal_moves(state)
        chance = equal_chances(legal)
        if has_move.any():
            chance[has_move] = chances(state[has_move], legal[has_move])
        state = game.apply(state, drawn(chance, generator))
        has_move = ~has_move
        is_over, mover_score = game.outcome(state)
        score[playing] = np.where(has_move, 1, -1) * mover_score
        state, playing, has_move = state[~is_over], playing[~is_over], has_move[~is_over]
    return Result(*(float((score == value).mean()) for value in (1, -1, 0)))


def random_positions(game: Game, seed: int, games: int = 200) -> np.ndarray:
    """Return the positions of games between random players, [P, ...], those over left out."""
    generator = np.random.default_rng(seed)
    state, found = game.initial_state(games), []
    while len(state):
        found.append(state)
        state = game.apply(state, drawn(equal_chances(game.legal_moves(state)), generator))
        state = state[~game.outcome(state).is_over]
    return np.concatenate(found)


def equal_chances(legal: np.ndarray) -> np.ndarray:
    """Return the same chance for each legal move, float64[M, A]."""
    return legal / legal.sum(axis=1, keepdims=True).clip(1)


def drawn(chance: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Draw an action for each row of chances, int64[M]."""
    limit = chance.cumsum(axis=1)
    return (generator.random((len(chance), 1)) * limit[:, -1:] < limit).argmax(axis=1)
