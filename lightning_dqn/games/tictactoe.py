"""Tic-tac-toe, nine cells numbered row by row."""

from __future__ import annotations

from typing import Literal

import gymnasium as gym
import numpy as np

from lightning_dqn.games.game import Game, Outcome

Encoding = Literal["signed", "planes", "index"]

_CELLS = np.arange(9).reshape(3, 3)
_BIT = 1 << np.arange(9)
_IS_SET = ((np.arange(512)[:, None] & _BIT) > 0).view(np.int8)
"""int8[512, 9], the cells of every set of cells."""

_AS_FLOAT = _IS_SET.astype(np.float32)
_IS_EMPTY = _IS_SET == 0
"""bool[512, 9]."""

_LINES = [*_CELLS, *_CELLS.T, _CELLS.diagonal(), _CELLS[:, ::-1].diagonal()]
_HAS_LINE = np.any([_IS_SET[:, line].all(axis=1) for line in _LINES], axis=0)
"""bool[512]."""

_SCORE = _HAS_LINE.view(np.int8)

_TURNS = [np.rot90(_CELLS, turns) for turns in range(4)]
_IMAGES = np.stack([board.ravel() for turn in _TURNS for board in (turn, turn.T)])
"""int64[8, 9], where each cell goes to."""
_TRANSFORMED = (_IS_SET.astype(np.int64) @ (1 << _IMAGES).T).T
"""int64[8, 512], where each set of cells goes to."""

_BASE_3 = _IS_SET.astype(np.int64) @ 3 ** np.arange(9)
"""int64[512], each set of cells as digits of a number in base 3."""


class TicTacToe(Game):
    """Three in a row on nine cells; an action is the cell to occupy.

    A state is int64[M, 2]: the cells of the player to move and those of the other, as bits.

    Args:
        encoding: what is observed. ``"signed"``: float32[9], 1 for the own pieces, -1 for the
            other's, 0 for empty cells. ``"planes"``: float32[18], where the own pieces are and
            where the other's are. ``"index"``: one of 3^9 numbers, for tables.
    """

    name = "tictactoe"
    num_actions = 9
    board_shape = (3, 3)
    num_indices = 3**9

    def __init__(self, encoding: Encoding = "signed") -> None:
        spaces: dict[str, gym.Space] = {
            "signed": gym.spaces.Box(-1.0, 1.0, (9,)),
            "planes": gym.spaces.Box(0.0, 1.0, (18,)),
            "index": gym.spaces.Discrete(self.num_indices),
        }
        if encoding not in spaces:
            raise ValueError(f"encoding={encoding!r}: choose {', '.join(spaces)}")
        self.encoding = encoding
        self.observation_space = spaces[encoding]

    @property
    def symmetry_actions(self) -> np.ndarray:
        """The eight symmetries of the square, int64[8, 9]."""
        return _IMAGES

    def initial_state(self, num_boards: int) -> np.ndarray:
        """Return empty boards."""
        return np.zeros((num_boards, 2), np.int64)

    def legal_moves(self, state: np.ndarray) -> np.ndarray:
        """Return the empty cells, bool[M, 9]."""
        own, other = state.T
        # Where the game is over no cell counts as empty.
        is_over = _HAS_LINE[own] | _HAS_LINE[other]
        return _IS_EMPTY.take(own | other | is_over * 511, axis=0)

    def apply(self, state: np.ndarray, action: np.ndarray) -> np.ndarray:
        """Return the boards after the moves, as the other player sees them."""
        following = state[:, ::-1].copy()
        following[:, 1] |= _BIT[action]
        return following

    def outcome(self, state: np.ndarray) -> Outcome:
        """Return who has three in a row; a full board without is a draw."""
        own, other = state.T
        score = _SCORE[own] - _SCORE[other]
        return Outcome((score != 0) | ((own | other) == 511), score)

    def encode(self, state: np.ndarray) -> np.ndarray:
        """Return what is observed."""
        if self.encoding == "planes":
            return _AS_FLOAT.take(state, axis=0).reshape(-1, 18)
        if self.encoding == "signed":
            return _AS_FLOAT.take(state[:, 0], axis=0) - _AS_FLOAT.take(state[:, 1], axis=0)
        return _BASE_3[state[:, 0]] + 2 * _BASE_3[state[:, 1]]

    def board(self, state: np.ndarray) -> np.ndarray:
        """Return int8[M, 3, 3]."""
        return (_IS_SET[state[:, 0]] - _IS_SET[state[:, 1]]).reshape(-1, 3, 3)

    def transform(self, state: np.ndarray, symmetry: np.ndarray) -> np.ndarray:
        """Return the boards mirrored or turned."""
        return _TRANSFORMED[symmetry[:, None], state]
