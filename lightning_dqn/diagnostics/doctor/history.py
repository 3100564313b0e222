"""What a run has told so far, as far as rules look back: its newest values under each key."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

KEPT = 256
"""Newest values that are kept of a key; its extremes are those of all."""


class Point(NamedTuple):
    """A value and when it was told.

    Attributes:
        env_steps: so far.
        value: under the key.
    """

    env_steps: int
    value: float


class Series:
    """The values under one key, oldest first.

    Attributes:
        lowest: of all that there were; infinite where there was none.
        highest: likewise.
        count: of all that there were.
    """

    def __init__(self) -> None:
        self.points: deque[Point] = deque(maxlen=KEPT)
        self.lowest, self.highest, self.count = math.inf, -math.inf, 0

    def append(self, env_steps: int, value: float) -> None:
        """Add the newest."""
        self.points.append(Point(env_steps, value))
        self.lowest, self.highest = min(self.lowest, value), max(self.highest, value)
        self.count += 1

    def newest(self, count: int) -> list[float]:
        """Return the newest values, oldest first; fewer where there aren't so many."""
        return [point.value for point in list(self.points)[-count:]]

    def last(self, count: int, holds: Callable[[float], bool]) -> bool:
        """Tell whether the newest values are so many, and something holds of each."""
        newest = self.newest(count)
        return len(newest) == count and all(map(holds, newest))

    def largest(self) -> float:
        """Return the largest size there was, of either sign; 0 where there was none."""
        return max(abs(self.lowest), abs(self.highest)) if self.count else 0.0


class History:
    """The series of all keys that rules read.

    Args:
        keys: those that are kept; others are passed over.
    """

    def __init__(self, keys: frozenset[str]) -> None:
        self._series = {key: Series() for key in sorted(keys)}

    def __getitem__(self, key: str) -> Series:
        """Return the series of a key that is kept."""
        return self._series[key]

    def note(self, env_steps: int, row: Mapping[str, float]) -> None:
        """Add what a row tells, numbers that aren't finite aside."""
        for key, value in row.items():
            if key in self._series and math.isfinite(value):
                self._series[key].append(env_steps, float(value))

    def state_dict(self) -> dict[str, Any]:
        """Return all of it as plain values."""
        return {
            key: {
                "points": [list(point) for point in one.points],
                "extremes": [one.lowest, one.highest, one.count],
            }
            for key, one in self._series.items()
            if one.count
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take it back; keys that no rule reads any more are left."""
        for key in state.keys() & self._series.keys():
            one = self._series[key]
            one.points.clear()
            one.points.extend(Point(*point) for point in state[key]["points"])
            one.lowest, one.highest, one.count = state[key]["extremes"]
