"""Observations as text."""

import numpy as np
import pytest

from lightning_dqn.live.pictures import (
    as_image,
    board_picture,
    grid_picture,
    image_picture,
    numbers_picture,
)


def text(picture):
    return ["".join(piece for piece, _ in line).rstrip() for line in picture]


def test_a_board_has_a_symbol_for_each_player():
    assert text(board_picture(np.array([[1, -1], [0, 1]], np.int8))) == ["X O", ". X"]


def test_a_grid_marks_where_one_stands():
    assert text(grid_picture(np.array([["S", "F"], ["H", "G"]]), 2)) == ["S F", "@ G"]


def test_two_rows_of_an_image_are_one_line_of_half_blocks():
    image = np.zeros((3, 5, 3), np.uint8)
    image[0] = 255
    picture = image_picture(image, colour=True)
    assert text(picture) == ["▀" * 5] * 2
    assert picture[0][0][1] == "38;5;231;48;5;16"  # white above black
    assert picture[1][0][1] == "38;5;16;48;5;16"


def test_without_colour_an_image_has_shades():
    image = np.zeros((2, 5, 3), np.uint8)
    image[:, 0] = 255
    assert text(image_picture(image, colour=False)) == ["█"]


def test_a_large_image_is_thinned():
    assert len(image_picture(np.zeros((210, 160, 3), np.uint8), colour=False)) == 35


@pytest.mark.parametrize("shape", [(84, 84), (4, 84, 84), (84, 84, 3), (10, 10, 4), (4, 10, 10)])
@pytest.mark.parametrize("kind", [np.uint8, bool, np.float32])
def test_pictures_are_images_with_channels_first_or_last(shape, kind):
    image = as_image(np.ones(shape, kind))
    assert image.shape == (*[side for side in shape if side > 4][:2], 3)
    assert image.dtype == np.uint8


@pytest.mark.parametrize("shape", [(), (4,), (4, 4), (2, 3, 3), (1, 128), (0, 5)])
def test_other_observations_are_none(shape):
    assert as_image(np.zeros(shape, np.float32)) is None


def test_numbers_have_a_mark_where_they_lie():
    lines = text(numbers_picture(np.array([0.5, -3.0, np.nan], np.float32)))
    assert lines[0].split()[:2] == ["0", "0.5"]
    assert lines[0].index("●") > lines[1].index("●")
    assert "nan" in lines[2]
