"""``metrics.csv``: what a run has logged, read again as rows or as a series of each metric.

Shapes: N rows that have the metric.
"""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightning_dqn.system.faults import first_line

METRICS = "metrics.csv"
"""What the CSV logger writes into a run's folder."""

ENV_STEPS, STEP = X_AXES = ("time/env_steps", "step")
"""The env steps of a row, in the order in which they are looked for."""

_EVALUATED = ("eval/", "test/")

NO_METRICS = (*X_AXES, "epoch")
"""What only counts."""


class Row(NamedTuple):
    """One row.

    Attributes:
        env_steps: where it stands.
        values: of the metrics that it has; what only counts, as Lightning's epochs, is none.
    """

    env_steps: float
    values: dict[str, float]

    @property
    def is_test(self) -> bool:
        """Whether it is of the test after training, which a run that goes on plays anew."""
        return any(name.startswith("test/") for name in self.values)


class Series(NamedTuple):
    """A metric over a run, float64[N] each: rising env steps, and its value at each."""

    env_steps: NDArray[np.float64]
    value: NDArray[np.float64]


def read_rows(path: Path) -> Iterator[Row]:
    """Yield a file's rows in their order, without those that stand at no env step.

    A row that tells none, as of Lightning's ``LearningRateMonitor``, stands at those told last: its
    ``step`` is an iteration. Of an evaluation, or where no row tells any, it is the env steps.

    Raises:
        OSError: the file can't be read.
        ValueError: a cell is no number, or no column tells the env steps.
        csv.Error: it is no CSV.
    """
    told = 0.0
    with path.open(newline="") as file:
        for cells in csv.DictReader(whole_lines(file)):
            if cells.keys().isdisjoint(X_AXES):
                raise ValueError(f"no column {' or '.join(X_AXES)}")
            values = {n: float(v) for n, v in cells.items() if n and v and n not in NO_METRICS}
            if own := cells.get(ENV_STEPS):
                told = float(own)
                yield Row(told, values)
            elif ENV_STEPS in cells and not any(n.startswith(_EVALUATED) for n in values):
                yield Row(told, values)
            elif step := cells.get(STEP):
                yield Row(float(step), values)


def read_series(path: Path, *, keys: Collection[str] | None = None) -> dict[str, Series]:
    """Return the metrics of a file that have a value; none where there is no such file.

    Of two rows of the same env step the later one counts. Values that aren't finite are among
    them, for they may be what is to be told; :func:`finite` leaves them out.

    Args:
        path: of the file.
        keys: of the metrics; None: all of them.

    Raises:
        ValueError: it can't be read as metrics; the message names it.
    """
    if not path.is_file():
        return {}
    found: dict[str, dict[float, float]] = defaultdict(dict)
    try:
        for row in read_rows(path):
            if math.isfinite(row.env_steps):
                for key in row.values if keys is None else row.values.keys() & keys:
                    found[key][row.env_steps] = row.values[key]
    except (OSError, ValueError, csv.Error) as error:
        raise ValueError(f"{path}: can't be read as metrics ({first_line(error)})") from error
    return {key: Series(*np.array(sorted(values.items())).T) for key, values in found.items()}


def finite(found: Mapping[str, Series]) -> dict[str, Series]:
    """Return series without the values that aren't finite, and none that has no other."""
    masks = {key: np.isfinite(series.value) for key, series in found.items()}
    return {
        key: Series(*(values[mask] for values in found[key]))
        for key, mask in masks.items()
        if mask.any()
    }


def whole_lines(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines but a last one that isn't whole, as after a loss of power."""
    return (line for line in lines if line.endswith("\n"))
