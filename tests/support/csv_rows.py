"""The rows of ``metrics.csv``, for a comparison with what others were told."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def csv_rows(folder: Path) -> list[dict[str, float]]:
    """Return the rows of a run's file, without what is empty and without the step."""
    with (folder / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        {key: float(value) for key, value in row.items() if value and key != "step"} for row in rows
    ]


def wandb_rows(history: Sequence[Mapping[str, Any]]) -> list[dict[str, float]]:
    """Return what W&B received, without Lightning's own count of steps."""
    return [
        {key: float(value) for key, value in row.items() if key != "trainer/global_step"}
        for row in history
    ]
