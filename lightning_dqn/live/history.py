"""What is known of each metric: its last value, mean and best, the whole curve and its end."""

from __future__ import annotations

import csv
import math
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from lightning_dqn.reporting.glossary import best_is
from lightning_dqn.reporting.metrics_file import NO_METRICS, read_rows

MOST_POINTS = 1024
"""Of a whole curve: more than a terminal has columns of dots."""

RECENT_POINTS = 200


class Points(NamedTuple):
    """Values over env steps, oldest first; both of one length."""

    env_steps: list[float]
    values: list[float]


class BoundedSeries:
    """One metric over a run, in bounded memory.

    The whole curve's points are means of equally many values. Whenever there are too many of
    them, pairs become one, so that a peak is flattened and never missed.

    Args:
        name: of the metric.
        most_points: of the whole curve.

    Attributes:
        last: the newest value, whatever it is.
        num_values: finite ones so far.
        best: the best by the glossary; None where no end of its values is.
    """

    def __init__(self, name: str, most_points: int = MOST_POINTS) -> None:
        self.name = name
        self.last = math.nan
        self.num_values = 0
        self.best: float | None = None
        self._end = best_is(name)
        self._most_points = most_points
        self._points: list[tuple[float, float]] = []
        self._per_point = 1
        self._open: list[tuple[float, float]] = []
        self._recent: deque[tuple[float, float]] = deque(maxlen=RECENT_POINTS)
        self._sum = 0.0

    @property
    def mean(self) -> float:
        """Mean of the finite values so far; NaN where there are none."""
        return self._sum / self.num_values if self.num_values else math.nan

    def add(self, env_steps: float, value: float) -> None:
        """Note a value; one that isn't finite is the last one and no more."""
        self.last = value
        if not math.isfinite(value):
            return
        self.num_values += 1
        self._sum += value
        if self._end is not None:
            better = max if self._end == "max" else min
            self.best = value if self.best is None else better(self.best, value)
        self._recent.append((env_steps, value))
        self._open.append((env_steps, value))
        if len(self._open) == self._per_point:
            self._close_point()

    def whole(self) -> Points:
        """Return the curve since the beginning."""
        return _points([*self._points, *([_mean(self._open)] if self._open else [])])

    def recent(self) -> Points:
        """Return the newest values as they are."""
        return _points(list(self._recent))

    def _close_point(self) -> None:
        self._points.append(_mean(self._open))
        self._open = []
        if len(self._points) > self._most_points:
            pairs = zip(self._points[0::2], self._points[1::2], strict=False)
            odd = self._points[-1] if len(self._points) % 2 else None
            self._points = [_mean([a, b]) for a, b in pairs]
            if odd is not None:
                self._open = [odd] * self._per_point
            self._per_point *= 2


class History:
    """All metrics that were logged, each in its order of coming."""

    def __init__(self) -> None:
        self.series: dict[str, BoundedSeries] = {}

    def add(self, row: Mapping[str, object], env_steps: float) -> None:
        """Note the numbers of a row.

        Args:
            row: by the glossary's keys; what is no number is left out.
            env_steps: where it stands.
        """
        for name, value in row.items():
            if isinstance(value, int | float) and name not in NO_METRICS:
                if name not in self.series:
                    self.series[name] = BoundedSeries(name)
                self.series[name].add(env_steps, float(value))

    def add_rows(self, path: Path, env_steps: int) -> None:
        """Note what a run logged before it goes on, as far as it can be read.

        Args:
            path: of its rows; there may be none.
            env_steps: from which it goes on; later rows come again.
        """
        with suppress(OSError, ValueError, csv.Error):  # a shorter plot is no reason to end
            for row in read_rows(path):
                if row.env_steps <= env_steps and not row.is_test:
                    self.add(row.values, row.env_steps)

    def names(self) -> list[str]:
        """Return the metrics, those of evaluation and of training's episodes first."""
        return sorted(self.series, key=lambda name: (_place(name), name))


_FIRST = ("eval/episode_return", "rollout/episode_return", "train/loss", "train/q_value")
_GROUPS = ("rollout/", "train/", "eval/", "time/")


def _place(name: str) -> int:
    if name in _FIRST:
        return _FIRST.index(name)
    begins = (i for i, group in enumerate(_GROUPS) if name.startswith(group))
    return len(_FIRST) + next(begins, len(_GROUPS))


def _mean(points: list[tuple[float, float]]) -> tuple[float, float]:
    number = len(points)
    return sum(x for x, _ in points) / number, sum(y for _, y in points) / number


def _points(points: list[tuple[float, float]]) -> Points:
    return Points([x for x, _ in points], [y for _, y in points])
