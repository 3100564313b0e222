"""What a run logged: each metric over the env steps.

Shapes: N rows that have the metric.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.study.curve import METRICS, Evaluations

X_AXES = ("time/env_steps", "step")
"""The env steps of a row, in the order in which they are looked for."""

_NO_METRICS = (*X_AXES, "epoch")


def read_logged(run_dir: Path) -> dict[str, Evaluations]:
    """Return every metric of a run's ``metrics.csv``; none where there is no such file.

    What only counts, as Lightning's epochs, is no metric.

    A line that isn't whole, as that of a run that was killed, and values that aren't finite are
    left out. Of two rows of the same env step the later one counts.

    Raises:
        ConfigError: the file can't be read.
    """
    path = run_dir / METRICS
    if not path.is_file():
        return {}
    try:
        whole = path.read_text().rpartition("\n")[0]
        rows = list(csv.DictReader(whole.splitlines()))
        found: dict[str, dict[float, float]] = {}
        for row in rows:
            _add(row, found)
    except (OSError, ValueError, TypeError, csv.Error) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"{path}: can't be read ({reason}); mend it or leave it away") from error
    return {key: _series(values) for key, values in found.items() if values}


def _add(row: dict[str, str], found: dict[str, dict[float, float]]) -> None:
    steps = next((row[key] for key in X_AXES if row.get(key)), None)
    if steps is None:
        return
    for key, text in row.items():
        if text and key not in _NO_METRICS and math.isfinite(value := float(text)):
            found.setdefault(key, {})[float(steps)] = value


def _series(values: dict[float, float]) -> Evaluations:
    env_steps = np.array(sorted(values))
    return Evaluations(env_steps, np.array([values[one] for one in env_steps]))


def thinned(series: Evaluations, most: int) -> Evaluations:
    """Return at most so many points: means of neighbours, where there are more.

    Args:
        series: float64[N] each.
        most: points.
    """
    if len(series.env_steps) <= most:
        return series
    parts = (np.array_split(values, most) for values in series)
    return Evaluations(*(np.array([part.mean() for part in some]) for some in parts))
