"""Boards as text and as pictures."""

from __future__ import annotations

import numpy as np

SYMBOLS = {1: "X", -1: "O", 0: "."}
"""Of the player who began, of the other, of an empty cell."""

CELL = 64
"""Pixels of a cell's side."""

_PAPER = np.array([250, 249, 246], np.uint8)
_LINE = np.array([214, 211, 203], np.uint8)
_COLORS = {1: np.array([31, 111, 139], np.uint8), -1: np.array([217, 119, 66], np.uint8)}


def render_text(board: np.ndarray) -> str:
    """Return a board int8[rows, columns] as lines of symbols."""
    return "\n".join(" ".join(SYMBOLS[int(cell)] for cell in row) for row in board)


def render_image(board: np.ndarray) -> np.ndarray:
    """Return a board int8[rows, columns] as uint8[rows * 64, columns * 64, 3].

    Pieces of the player who began are discs, the other's are rings.
    """
    rows, columns = board.shape
    image = np.empty((rows * CELL, columns * CELL, 3), np.uint8)
    image[:] = _PAPER
    distance = np.hypot(*(np.indices((CELL, CELL)) - (CELL - 1) / 2))
    shape = {1: distance < 0.34 * CELL, -1: (distance < 0.36 * CELL) & (distance > 0.22 * CELL)}
    for row, column in np.argwhere(board != 0):
        piece = int(board[row, column])
        cell = image[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL]
        cell[shape[piece]] = _COLORS[piece]
    image[::CELL] = image[CELL - 1 :: CELL] = _LINE
    image[:, ::CELL] = image[:, CELL - 1 :: CELL] = _LINE
    return image
