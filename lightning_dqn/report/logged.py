"""What a run logged: each metric over the env steps.

Shapes: N rows that have the metric.
"""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from pathlib import Path

import numpy as np

from lightning_dqn.reporting.metrics_file import METRICS, read_rows
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.study.curve import Evaluations
from lightning_dqn.system.faults import first_line


def read_logged(run_dir: Path) -> dict[str, Evaluations]:
    """Return every metric of a run's ``metrics.csv``; none where there is no such file.

    Values that aren't finite are left out. Of two rows of the same env step the later one counts.

    Raises:
        ConfigError: the file can't be read.
    """
    path = run_dir / METRICS
    if not path.is_file():
        return {}
    found: dict[str, dict[float, float]] = defaultdict(dict)
    try:
        for row in read_rows(path):
            for key, value in row.values.items():
                if math.isfinite(value):
                    found[key][row.env_steps] = value
    except (OSError, ValueError, csv.Error) as error:
        reason = first_line(error)
        raise ConfigError(f"{path}: can't be read ({reason}); mend it or leave it away") from error
    return {key: _series(values) for key, values in found.items()}


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
