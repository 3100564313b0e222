"""Observations as text: boards, grids, small images, numbers.

Shapes: H height, W width, C channels.
"""

from __future__ import annotations

import numpy as np

from lightning_dqn.live.numbers import short
from lightning_dqn.live.sheet import ACCENT, BOLD, DIM, PLAIN, SECOND
from lightning_dqn.live.state import Picture

MOST_SIDE = 96
"""Rows and columns of an image that is shown; of a larger one, every so many."""

_SYMBOLS = {1: ("X", ACCENT), -1: ("O", SECOND), 0: (".", DIM)}
_SHADES = " ░▒▓█"
_LEVELS = 6
_HUES = np.array(
    [[230, 230, 230], [31, 150, 190], [235, 130, 70], [90, 190, 90], [200, 90, 190], [220, 210, 80]]
)
"""Colours of the channels of an image that isn't made of red, green and blue."""


def board_picture(board: np.ndarray) -> Picture:
    """Return a board, int8[rows, columns]: 1 whose turn it is, -1 the other."""
    return [
        [(f"{symbol} ", style) for symbol, style in (_SYMBOLS[int(cell)] for cell in row)]
        for row in board
    ]


def grid_picture(fields: np.ndarray, state: int) -> Picture:
    """Return a grid of fields, str[rows, columns], the one of ``state`` marked."""
    here = divmod(state, fields.shape[1])
    return [
        [
            (f"{'@' if (row, column) == here else field} ", BOLD if (row, column) == here else DIM)
            for column, field in enumerate(line)
        ]
        for row, line in enumerate(fields)
    ]


def image_picture(image: np.ndarray, *, colour: bool) -> Picture:
    """Return an image, two rows of it in each line.

    Args:
        image: uint8[H, W, 3].
        colour: without, shades of gray stand for what is light.
    """
    every = max(1, -(-max(image.shape[:2]) // MOST_SIDE))
    image = image[::every, ::every]
    if len(image) % 2:
        image = np.concatenate([image, np.zeros_like(image[:1])])
    if not colour:
        light = image.astype(float).mean(axis=2).reshape(-1, 2, image.shape[1]).mean(axis=1)
        place = np.minimum((light / 256 * len(_SHADES)).astype(int), len(_SHADES) - 1)
        return [[("".join(_SHADES[one] for one in row), PLAIN)] for row in place]
    codes = _codes(image)
    pairs = zip(codes[0::2], codes[1::2], strict=True)
    return [
        [("▀", f"38;5;{upper};48;5;{lower}") for upper, lower in zip(*rows, strict=True)]
        for rows in pairs
    ]


def as_image(observation: np.ndarray) -> np.ndarray | None:
    """Return an observation as uint8[H, W, 3] if it is a picture, else None.

    Args:
        observation: [H, W], [H, W, C] or [C, H, W]; of a stack the newest frame.
    """
    shape = observation.shape
    if observation.ndim not in (2, 3) or min(shape) < 1 or max(shape) < 5:
        return None
    planes = observation if observation.ndim == 3 else observation[..., None]
    if observation.ndim == 3 and shape[0] < shape[-1]:
        planes = np.moveaxis(planes, 0, -1)
    if min(planes.shape[:2]) < 5:
        return None
    if planes.dtype == np.uint8:
        return _of_bytes(planes)
    values = planes.astype(float)
    low, high = float(values.min()), float(values.max())
    values = (values - low) / (high - low) if high > low else np.zeros_like(values)
    return _of_channels(values)


def numbers_picture(observation: np.ndarray) -> Picture:
    """Return an observation's numbers, with a mark of where each lies within -1 and 1."""
    numbers = observation.reshape(-1)
    width = len(str(max(len(numbers) - 1, 0)))
    return [
        [(f"{place:>{width}} ", DIM), (f"{short(float(value)):>9}", PLAIN), *_meter(float(value))]
        for place, value in enumerate(numbers)
    ]


def _meter(value: float) -> Picture | list[tuple[str, str]]:
    half = 6
    place = half + round(min(max(value, -1.0), 1.0) * half) if np.isfinite(value) else half
    marks = ["┄"] * (2 * half + 1)
    marks[half], marks[place] = "┼", "●"
    return [(f"  {''.join(marks)}", ACCENT)]


def _of_bytes(planes: np.ndarray) -> np.ndarray:
    if planes.shape[2] == 3:
        return planes
    return np.repeat(planes[..., -1:], 3, axis=2)  # of stacked gray frames the newest


def _of_channels(values: np.ndarray) -> np.ndarray:
    """Return each field in the hue of its strongest channel."""
    strongest = values.argmax(axis=2)
    hues = _HUES[strongest % len(_HUES)]
    return (hues * values.max(axis=2)[..., None]).astype(np.uint8)


def _codes(image: np.ndarray) -> list[list[int]]:
    """Return the nearest of a terminal's 256 colours, int[H, W]."""
    levels = np.rint(image.astype(float) / 255 * (_LEVELS - 1)).astype(int)
    codes: list[list[int]] = (16 + levels @ np.array([36, 6, 1])).tolist()
    return codes
