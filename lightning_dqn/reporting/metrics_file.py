"""``metrics.csv``: the rows that a run has logged, read again."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

METRICS = "metrics.csv"
"""What the CSV logger writes into a run's folder."""

X_AXES = ("time/env_steps", "step")
"""The env steps of a row, in the order in which they are looked for."""

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


def read_rows(path: Path) -> Iterator[Row]:
    """Yield a file's rows in their order, without those that stand at no env step.

    Raises:
        OSError: the file can't be read.
        ValueError: a cell is no number, or no column tells the env steps.
        csv.Error: it is no CSV.
    """
    with path.open(newline="") as file:
        for cells in csv.DictReader(whole_lines(file)):
            if cells.keys().isdisjoint(X_AXES):
                raise ValueError(f"no column {' or '.join(X_AXES)}")
            env_steps = next((cells[name] for name in X_AXES if cells.get(name)), None)
            if env_steps is not None:
                told = {n: v for n, v in cells.items() if n and v and n not in NO_METRICS}
                yield Row(float(env_steps), {name: float(v) for name, v in told.items()})


def whole_lines(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines but a last one that isn't whole, as after a loss of power."""
    return (line for line in lines if line.endswith("\n"))
