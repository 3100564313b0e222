"""The other seeds of a run's setting: their curves together, as bands behind its own.

Shapes: R runs, G points of the common grid of env steps.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from lightning_dqn.live.plots import Band
from lightning_dqn.reporting.metrics_file import METRICS, Series, finite, read_series
from lightning_dqn.system.overrides import OVERRIDES, key_of, own_overrides

GRID_POINTS = 120
MOST_BYTES = 16_000_000
"""Of a run's rows that are read; of more, none are."""


def bands_of_other_seeds(run_dir: Path) -> dict[str, Band]:
    """Return each metric's band over the runs beside ``run_dir`` that differ in the seed alone.

    Args:
        run_dir: folder of the run, in that of its study.
    """
    curves: dict[str, list[Series]] = defaultdict(list)
    for folder in _other_seeds(run_dir):
        for name, series in _read(folder / METRICS).items():
            curves[name].append(series)
    return {name: band_of(several) for name, several in curves.items()}


def band_of(curves: Sequence[Series]) -> Band:
    """Return the lowest, the median and the highest of curves at common env steps, [G] each.

    They go as far as the shortest of the curves.

    Args:
        curves: R of them, of finite values.
    """
    start = max(series.env_steps[0] for series in curves)
    end = max(min(series.env_steps[-1] for series in curves), start)
    grid = np.linspace(start, end, GRID_POINTS if end > start else 1)
    values = np.stack([np.interp(grid, *series) for series in curves])
    return Band(
        env_steps=grid.tolist(),
        low=values.min(axis=0).tolist(),
        middle=np.median(values, axis=0).tolist(),
        high=values.max(axis=0).tolist(),
    )


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


def _read(path: Path) -> Mapping[str, Series]:
    """Return the curves of a run's rows; none where they can't be read."""
    try:
        return {} if path.stat().st_size > MOST_BYTES else finite(read_series(path))
    except (OSError, ValueError):
        return {}
