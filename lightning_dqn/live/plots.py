"""Plots of a metric as lines of text: curves, their spread over seeds, distributions.

Shapes: H lines, W characters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from lightning_dqn.live.dots import Dots
from lightning_dqn.live.history import Points
from lightning_dqn.live.numbers import count, short

_SCALE = 10
"""Characters to the left of a plot, for its values."""


class Layer(NamedTuple):
    """What is drawn in one style on one plot: [H, W], blanks where nothing is."""

    lines: list[str]
    row: int
    column: int


class Band(NamedTuple):
    """Curves of several runs together, at common env steps.

    Attributes:
        env_steps: where.
        low: the lowest of them.
        middle: the median.
        high: the highest.
    """

    env_steps: list[float]
    low: list[float]
    middle: list[float]
    high: list[float]


class Plot(NamedTuple):
    """A plot: axes and text, the curve, and what lies behind it."""

    axes: Layer
    curve: Layer
    behind: Layer | None = None


class _Ranges(NamedTuple):
    left: float
    right: float
    low: float
    high: float


def plot_curve(curve: Points, width: int, height: int, band: Band | None = None) -> Plot | None:
    """Return a metric over env steps; None where there is nothing to draw or no room.

    Args:
        curve: what is drawn.
        width: W, the values at the left included.
        height: H, the env steps below included.
        band: of other runs, drawn behind it.
    """
    across, down = width - _SCALE, height - 1
    if across < 4 or down < 2 or not curve.values:
        return None
    ranges = _ranges(curve, band)
    front = Dots(across, down)
    points = list(zip(*curve, strict=True))
    placed = [_place(front, x, y, ranges) for x, y in points]
    for start, end in zip(placed, placed[1:] or placed, strict=False):
        front.line(start, end)
    behind = None if band is None else Layer(_shade(band, ranges, across, down), 0, _SCALE)
    return Plot(_axes(ranges, width, height), Layer(front.lines(), 0, _SCALE), behind)


def plot_distribution(values: Sequence[float], width: int, height: int) -> Plot | None:
    """Return how often values were in each of equal ranges; None where there are none."""
    across, down = width - _SCALE, height - 1
    if across < 4 or down < 2 or not values:
        return None
    low, high = _widened(min(values), max(values))
    bins = [0] * min(across, 40)
    for value in values:
        bins[min(int((value - low) / (high - low) * len(bins)), len(bins) - 1)] += 1
    dots = Dots(across, down)
    for column in range(dots.columns):
        share = bins[column * len(bins) // dots.columns] / max(bins)
        dots.column(column, dots.rows - math.ceil(share * dots.rows), dots.rows - 1)
    axes = _axes(_Ranges(low, high, 0, max(bins)), width, height, unit="", told=short)
    return Plot(axes, Layer(dots.lines(), 0, _SCALE))


def _ranges(curve: Points, band: Band | None) -> _Ranges:
    steps, values = list(curve.env_steps), list(curve.values)
    if band is not None:
        steps += band.env_steps
        values += [*band.low, *band.high]
    return _Ranges(*_widened(min(steps), max(steps)), *_widened(min(values), max(values)))


def _widened(low: float, high: float) -> tuple[float, float]:
    if high > low:
        return low, high
    margin = abs(low) * 0.05 or 1.0
    return low - margin, high + margin


def _place(dots: Dots, x: float, y: float, ranges: _Ranges) -> tuple[int, int]:
    across = (x - ranges.left) / (ranges.right - ranges.left)
    up = (y - ranges.low) / (ranges.high - ranges.low)
    return round(across * (dots.columns - 1)), round((1 - up) * (dots.rows - 1))


def _shade(band: Band, ranges: _Ranges, across: int, down: int) -> list[str]:
    """Return the band: its edges, its middle, and every third dot between them."""
    dots = Dots(across, down)
    for part in (band.low, band.middle, band.high):
        placed = [_place(dots, x, y, ranges) for x, y in zip(band.env_steps, part, strict=True)]
        for start, end in zip(placed, placed[1:] or placed, strict=False):
            dots.line(start, end)
    for x, low, high in zip(band.env_steps, band.low, band.high, strict=True):
        column, bottom = _place(dots, x, low, ranges)
        for row in range(_place(dots, x, high, ranges)[1], bottom, 3):
            dots.set(column, row)
    return dots.lines()


def _axes(
    ranges: _Ranges,
    width: int,
    height: int,
    *,
    unit: str = " env steps",
    told: Callable[[float], str] = count,
) -> Layer:
    down = height - 1
    lines = [f"{'':>{_SCALE - 1}}│"] * down
    for line in {0, (down - 1) // 2, down - 1}:
        value = ranges.high - (ranges.high - ranges.low) * line / max(down - 1, 1)
        lines[line] = f"{short(value):>{_SCALE - 1}}┤"
    left, right = told(ranges.left), f"{told(ranges.right)}{unit}"
    below = f"{left}{right:>{width - _SCALE - len(left)}}"
    return Layer([*lines, f"{'':{_SCALE}}{below}"], 0, 0)
