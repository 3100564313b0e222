"""The rows that a run has logged so far, read for a dashboard."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

METRICS = "metrics.csv"

_X_AXES = ("time/env_steps", "step")
"""The env steps of a row, in the order in which they are looked for."""


class Row(NamedTuple):
    """One row.

    Attributes:
        env_steps: where it stands.
        values: of the metrics that it has.
    """

    env_steps: float
    values: dict[str, float]

    @property
    def is_test(self) -> bool:
        """Whether it is of the test after training, which a run that goes on plays anew."""
        return any(name.startswith("test/") for name in self.values)


def read_rows(path: Path) -> Iterator[Row]:
    """Yield a file's rows in their order; a last line that isn't whole is left out.

    Raises:
        OSError: the file can't be read.
        ValueError: a cell is no number.
        csv.Error: it is no CSV.
    """
    with path.open(newline="") as file:
        for cells in csv.DictReader(_whole_lines(file)):
            env_steps = next((cells[name] for name in _X_AXES if cells.get(name)), None)
            if env_steps is not None:
                told = {n: v for n, v in cells.items() if n and v and n not in _X_AXES}
                yield Row(float(env_steps), {name: float(v) for name, v in told.items()})


def _whole_lines(lines: Iterator[str]) -> Iterator[str]:
    return (line for line in lines if line.endswith("\n"))
