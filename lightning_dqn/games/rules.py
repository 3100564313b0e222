"""A game of the user's own is looked at before it is learned: a few of it are played at random.

Shapes: M boards, A actions.
"""

from __future__ import annotations

import numpy as np

from lightning_dqn.games.game import Game

_BOARDS, _MOST_MOVES = 8, 200


def check_rules(game: Game) -> None:
    """Refuse a game that breaks what :class:`Game` asks for in a way that would be learned from.

    Raises:
        ValueError: naming the method and what it has to keep to.
    """
    generator = np.random.default_rng(0)
    state = game.initial_state(_BOARDS)
    for _ in range(_MOST_MOVES):
        is_over, score = game.outcome(state)
        if not np.isin(score, (-1, 0, 1)).all() or np.any(score[~is_over]):
            raise _broken(game, "outcome", "its score is -1, 0 or 1, and 0 until the game is over")
        legal = game.legal_moves(state)
        if not np.array_equal(legal.any(axis=1), ~is_over):
            raise _broken(game, "legal_moves", "there are some until the game is over, none after")
        if is_over.all():
            return
        state, legal = state[~is_over], legal[~is_over]
        action = np.where(legal, generator.random(legal.shape), -1.0).argmax(axis=1)
        before = state.copy()
        following = game.apply(state, action)
        if not np.array_equal(state, before):
            raise _broken(game, "apply", "it returns new boards, and changed those it was given")
        _check_symmetries(game, state, legal, action, following)
        state = following


def _check_symmetries(
    game: Game, state: np.ndarray, legal: np.ndarray, action: np.ndarray, following: np.ndarray
) -> None:
    """Refuse symmetries by which a game goes on otherwise than the game itself does."""
    for number, moved in enumerate(game.symmetry_actions):
        symmetry = np.full(len(state), number)
        shown = game.transform(state, symmetry)
        legal_as_shown = np.empty_like(legal)
        legal_as_shown[:, moved] = legal
        if not (
            np.array_equal(game.legal_moves(shown), legal_as_shown)
            and np.array_equal(
                game.apply(shown, moved[action]), game.transform(following, symmetry)
            )
        ):
            rule = f"by symmetry {number} the moves of symmetry_actions lead to the boards it gives"
            raise _broken(game, "transform", rule)


def _broken(game: Game, method: str, rule: str) -> ValueError:
    return ValueError(f"{type(game).__name__}.{method}: {rule}")
