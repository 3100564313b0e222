"""Connect Four, seven columns of six cells."""

from __future__ import annotations

import gymnasium as gym
import numpy as np

from lightning_dqn.games.game import Game, Outcome

ROWS, COLUMNS = 6, 7

_HEIGHT = ROWS + 1
"""Bits of a column: its cells from below, and one that stays empty, so that no line wraps."""

_COLUMN = np.arange(COLUMNS)
_BOTTOM = np.uint64(1) << (_COLUMN * _HEIGHT).astype(np.uint64)
_TOP = np.uint64(1) << (_COLUMN * _HEIGHT + ROWS - 1).astype(np.uint64)
_FULL = np.uint64(sum(((1 << ROWS) - 1) << (column * _HEIGHT) for column in range(COLUMNS)))
_SHIFTS = np.array([1, _HEIGHT - 1, _HEIGHT, _HEIGHT + 1], np.uint64)[:, None, None]
"""One cell up, diagonally down, to the right, diagonally up; along the first axis."""
_TWICE = _SHIFTS + _SHIFTS

_BIT_OF_CELL = np.array(
    [[column * _HEIGHT + ROWS - 1 - row for column in range(COLUMNS)] for row in range(ROWS)]
)
"""int64[6, 7], the uppermost row first."""


class ConnectFour(Game):
    """Four in a row; an action is the column into which a piece falls.

    A state is uint64[M, 2]: the cells of the player to move and those of the other, as bits.
    What is observed is float32[2, 6, 7]: where the own pieces are and where the other's are,
    the uppermost row first.
    """

    name = "connect_four"
    num_actions = COLUMNS
    board_shape = (ROWS, COLUMNS)

    def __init__(self) -> None:
        self.observation_space = gym.spaces.Box(0.0, 1.0, (2, ROWS, COLUMNS))

    @property
    def symmetry_actions(self) -> np.ndarray:
        """The board and its mirror image, int64[2, 7]."""
        return np.stack([_COLUMN, _COLUMN[::-1]])

    def initial_state(self, num_boards: int) -> np.ndarray:
        """Return empty boards."""
        return np.zeros((num_boards, 2), np.uint64)

    def legal_moves(self, state: np.ndarray) -> np.ndarray:
        """Return the columns that aren't full, bool[M, 7]."""
        is_legal = ((state[:, 0] | state[:, 1])[:, None] & _TOP) == 0
        own_line, other_line = _has_line(state.T)
        is_legal[own_line | other_line] = False
        return is_legal

    def apply(self, state: np.ndarray, action: np.ndarray) -> np.ndarray:
        """Return the boards after the moves, as the other player sees them."""
        occupied = state[:, 0] | state[:, 1]
        following = state[:, ::-1].copy()
        # Adding to a column's lowest bit carries to its first empty cell.
        following[:, 1] |= (occupied + _BOTTOM[action]) & ~occupied
        return following

    def outcome(self, state: np.ndarray) -> Outcome:
        """Return who has four in a row; a full board without is a draw."""
        own_line, other_line = _has_line(state.T)
        score = own_line.astype(np.int8) - other_line
        return Outcome((score != 0) | ((state[:, 0] | state[:, 1]) == _FULL), score)

    def encode(self, state: np.ndarray) -> np.ndarray:
        """Return float32[M, 2, 6, 7]."""
        octets = state.astype("<u8", copy=False, order="C").view(np.uint8)
        bits = np.unpackbits(octets.ravel(), bitorder="little").reshape(-1, 2, 64)
        return bits.take(_BIT_OF_CELL, axis=2).astype(np.float32)

    def board(self, state: np.ndarray) -> np.ndarray:
        """Return int8[M, 6, 7]."""
        own, other = self.encode(state).astype(np.int8).swapaxes(0, 1)
        return own - other

    def transform(self, state: np.ndarray, symmetry: np.ndarray) -> np.ndarray:
        """Return the boards, mirrored where ``symmetry`` is 1."""
        column = np.uint64((1 << _HEIGHT) - 1)
        shifts = (_COLUMN * _HEIGHT).astype(np.uint64)
        columns = (state[..., None] >> shifts) & column
        mirrored = np.bitwise_or.reduce(columns << shifts[::-1], axis=-1)
        return np.where(symmetry[:, None] == 1, mirrored, state)

    def action_cell(self, action: int, state: np.ndarray) -> tuple[int, int]:
        """Return the cell into which the piece falls."""
        pieces = int((self.board(state)[0, :, action] != 0).sum())
        return ROWS - 1 - pieces, action


def _has_line(cells: np.ndarray) -> np.ndarray:
    """Return whether there are four in a row among uint64[2, M] sets of cells."""
    pairs = cells & (cells >> _SHIFTS)
    return (pairs & (pairs >> _TWICE)).any(axis=0)
