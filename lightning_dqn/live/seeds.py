"""The other seeds of a run's setting: their curves together, as bands behind its own.

Shapes: R runs, G points of the common grid of env steps.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lightning_dqn.live.plots import Band
from lightning_dqn.reporting.metrics_file import METRICS, read_rows
from lightning_dqn.system.overrides import OVERRIDES, key_of, own_overrides

GRID_POINTS = 120
MOST_BYTES = 16_000_000
"""Of a run's rows that are read; of more, none are."""

Points = list[tuple[float, float]]


def bands_of_other_seeds(run_dir: Path) -> dict[str, Band]:
    """Return each metric's band over the runs beside ``run_dir`` that differ in the seed alone.

    Args:
        run_dir: folder of the run, in that of its study.
    """
    curves: dict[str, list[Points]] = defaultdict(list)
    for folder in _other_seeds(run_dir):
        for name, points in _read(folder / METRICS).items():
            curves[name].append(points)
    return {name: band_of(several) for name, several in curves.items()}


def band_of(curves: list[Points]) -> Band:
    """Return the lowest, the median and the highest of curves at common env steps, [G] each.

    They go as far as the shortest of the curves.

    Args:
        curves: R of them, each (env steps, value), in rising order.
    """
    start = max(points[0][0] for points in curves)
    end = max(min(points[-1][0] for points in curves), start)
    grid = np.linspace(start, end, GRID_POINTS if end > start else 1)
    values = np.stack([_values_at(grid, points) for points in curves])
    return Band(
        env_steps=grid.tolist(),
        low=values.min(axis=0).tolist(),
        middle=np.median(values, axis=0).tolist(),
        high=values.max(axis=0).tolist(),
        num_runs=len(curves),
    )


def _values_at(grid: np.ndarray, points: Points) -> np.ndarray:
    env_steps, values = zip(*points, strict=True)
    return np.interp(grid, np.array(env_steps, float), np.array(values, float))


def _other_seeds(run_dir: Path) -> Iterator[Path]:
    own = _setting(run_dir)
    if own is None:
        return
    for path in sorted(run_dir.resolve().parent.glob(f"*/{OVERRIDES}")):
        folder = path.parent.parent
        other = _setting(folder)
        if other is not None and other[0] == own[0] and other[1] != own[1]:
            yield folder


def _setting(run_dir: Path) -> tuple[frozenset[str], str] | None:
    """Return what a run was asked for without its seed, and that; None where it isn't known."""
    asked = own_overrides(run_dir)
    if asked is None:
        return None
    seeds = [one for one in asked if key_of(one) == "seed"]
    return frozenset(asked) - {*seeds}, "".join(seeds)


def _read(path: Path) -> dict[str, Points]:
    """Return the curves of a run's rows; none where they can't be read."""
    found: dict[str, Points] = defaultdict(list)
    try:
        if path.stat().st_size > MOST_BYTES:
            return {}
        for env_steps, values in read_rows(path):
            for name, value in values.items():
                found[name].append((env_steps, value))
    except (OSError, ValueError, csv.Error):
        return {}
    finite = {n: [p for p in points if np.isfinite(p).all()] for n, points in found.items()}
    return {name: sorted(points) for name, points in finite.items() if points}
