"""What a run logged: each metric over the env steps.

Shapes: N rows that have the metric.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lightning_dqn.reporting.metrics_file import Series, finite
from lightning_dqn.study.curve import read_metrics


def read_logged(run_dir: Path) -> dict[str, Series]:
    """Return every metric of a run's ``metrics.csv``; none where there is no such file.

    Values that aren't finite are left out.

    Raises:
        ConfigError: the file can't be read.
    """
    return finite(read_metrics(run_dir))


def thinned(series: Series, most: int) -> Series:
    """Return at most so many points: means of neighbours, where there are more.

    Args:
        series: float64[N] each.
        most: points.
    """
    if len(series.env_steps) <= most:
        return series
    parts = (np.array_split(values, most) for values in series)
    return Series(*(np.array([part.mean() for part in some]) for some in parts))
