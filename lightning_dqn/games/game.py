"""What a two-player game is: a page of code by which a user adds one.

Shapes: M boards, A actions, K symmetries.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import gymnasium as gym
import numpy as np


class Outcome(NamedTuple):
    """How boards stand.

    Attributes:
        is_over: bool[M].
        score: int8[M], where it is over 1 if the player to move has won, -1 if they have lost,
            0 for a draw; 0 elsewhere.
    """

    is_over: np.ndarray
    score: np.ndarray


class Game(ABC):
    """A zero-sum game of two players in turn who both see everything; chance has no part in it.

    Every method takes and returns M boards at once. A state is an array [M, ...] of any shape
    and type, always as the player to move sees it: :meth:`apply` makes a move and turns the
    board round to the other player. So nothing ever asks who it is.

    Attributes:
        name: what the game is called in messages, files and on the page.
        num_actions: A.
        board_shape: rows and columns as :meth:`board` shows them.
        observation_space: of one observation, as :meth:`encode` gives it.
        symmetry_actions: int64[K, A], where each symmetry moves each action to; the first one
            is the identity.
    """

    name: ClassVar[str]
    num_actions: ClassVar[int]
    board_shape: ClassVar[tuple[int, int]]
    observation_space: gym.Space

    @property
    def symmetry_actions(self) -> np.ndarray:
        """Where each symmetry moves each action to; a game without any keeps this."""
        return np.arange(self.num_actions)[None]

    @abstractmethod
    def initial_state(self, num_boards: int) -> np.ndarray:
        """Return boards before the first move."""

    @abstractmethod
    def legal_moves(self, state: np.ndarray) -> np.ndarray:
        """Return bool[M, A]; no move is legal where the game is over."""

    @abstractmethod
    def apply(self, state: np.ndarray, action: np.ndarray) -> np.ndarray:
        """Return the boards after legal moves int64[M], as the other player sees them.

        They are new arrays: ``state`` stays as it is.
        """

    @abstractmethod
    def outcome(self, state: np.ndarray) -> Outcome:
        """Return how the boards stand, for the player to move."""

    @abstractmethod
    def encode(self, state: np.ndarray) -> np.ndarray:
        """Return observations [M, *shape] of ``observation_space``, for the player to move."""

    @abstractmethod
    def board(self, state: np.ndarray) -> np.ndarray:
        """Return what people see, int8[M, rows, columns].

        1 is a piece of the player to move, -1 one of the other, 0 an empty cell.
        """

    def transform(self, state: np.ndarray, symmetry: np.ndarray) -> np.ndarray:
        """Return the boards mirrored or turned by symmetries int64[M], each by its own."""
        return state

    def action_cell(self, action: int, state: np.ndarray) -> tuple[int, int]:
        """Return the row and column of a board [1, ...] in which a move places its piece.

        Those of a move that places none, as a pass, lie outside ``board_shape``.
        """
        return divmod(action, self.board_shape[1])

    def move_name(self, action: int) -> str:
        """Return what people call a move; a cell's number from 1 unless a game says else."""
        return str(action + 1)
