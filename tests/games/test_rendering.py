"""Boards as text and as pictures."""

from __future__ import annotations

import numpy as np
import pytest

from lightning_dqn.games.rendering import CELL, render_image, render_text

BOARD = np.array([[1, 0, -1], [0, -1, 1]], np.int8)


def test_text_has_a_symbol_for_each_cell() -> None:
    assert render_text(BOARD) == "X . O\n. O X"


def test_an_image_has_a_square_for_each_cell() -> None:
    image = render_image(BOARD)
    assert image.shape == (2 * CELL, 3 * CELL, 3)
    assert image.dtype == np.uint8


def cell_of(image: np.ndarray, row: int, column: int) -> np.ndarray:
    """Return a cell without the lines around it."""
    inner = slice(1, CELL - 1)
    return image[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL][inner, inner]


def colors(pixels: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(pixel) for pixel in pixels.reshape(-1, 3).tolist()}


def test_an_empty_cell_is_plain_and_a_piece_is_drawn_in_its_own_alone() -> None:
    image = render_image(BOARD)
    [paper] = colors(cell_of(image, 0, 1))
    assert colors(cell_of(image, 1, 0)) == {paper}
    for row, column in np.argwhere(BOARD != 0):
        assert len(colors(cell_of(image, row, column)) - {paper}) == 1


def test_the_first_players_pieces_are_discs_and_the_others_rings_of_another_color() -> None:
    image = render_image(BOARD)
    [paper] = colors(cell_of(image, 0, 1))
    middle = CELL // 2 - 1
    first, second = cell_of(image, 0, 0), cell_of(image, 0, 2)
    [first_color], [second_color] = colors(first) - {paper}, colors(second) - {paper}
    assert tuple(first[middle, middle].tolist()) == first_color
    assert tuple(second[middle, middle].tolist()) == paper
    assert first_color != second_color
    for piece, color in ((first, first_color), (second, second_color)):
        drawn = (piece == color).all(axis=2)
        assert (drawn == drawn[::-1]).all()
        assert (drawn == drawn[:, ::-1]).all()
        assert not drawn[0].any()
    share = (first == first_color).all(axis=2).sum() / CELL**2
    assert share == pytest.approx(np.pi * 0.34**2, abs=0.01)


def test_lines_part_the_cells() -> None:
    image = render_image(np.zeros((2, 2), np.int8))
    [paper] = colors(cell_of(image, 0, 0))
    [line] = colors(image[CELL - 1 : CELL + 1])
    assert line != paper
    assert colors(image[0]) == colors(image[:, CELL]) == {line}
