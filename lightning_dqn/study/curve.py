"""The learning curve of several runs: their evaluations over the env steps, joined and drawn.

Shapes: R runs, G points of the common grid of env steps.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightning_dqn.reporting.metrics_file import METRICS, Series, finite, read_series
from lightning_dqn.reporting.statistics import interquartile_mean, stratified_bootstrap_interval
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.system.files import write_whole

METRIC = "eval/episode_return"
MEANING = {METRIC: "mean return of the evaluation episodes"}
"""What a plot calls metrics instead of their keys."""
_LABEL = "setting"
_SAME = 1.01
"""Up to so many times as many env steps are the same ones: a budget is kept but for 1 %."""
PLOT_HINT = "pip install 'lightning-dqn[plot]'"


class Curve(NamedTuple):
    """A metric of several runs over the env steps, float64[G] each.

    ``low`` and ``high`` are the interval of the interquartile mean, NaN for a single run.
    """

    env_steps: NDArray[np.float64]
    iqm: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def read_metrics(run_dir: Path, *, keys: Collection[str] | None = None) -> dict[str, Series]:
    """Return a run's metrics; see :func:`lightning_dqn.reporting.metrics_file.read_series`.

    Raises:
        ConfigError: they can't be read.
    """
    try:
        return read_series(run_dir / METRICS, keys=keys)
    except ValueError as error:
        raise ConfigError(f"{error}; mend it or leave it out") from error


def read_evaluations(run_dir: Path, metric: str = METRIC) -> Series | None:
    """Return a run's evaluations by ``metric``, NaN among them; None if it has none.

    Raises:
        ConfigError: they can't be read.
    """
    return read_metrics(run_dir, keys=[metric]).get(metric)


def read_drawable(run_dir: Path, metric: str = METRIC) -> tuple[Series | None, str]:
    """Return the evaluations of a run that a curve can show, and what it can't, in a line.

    A curve may pass over a value that isn't finite, as long as it is told; a score may not.

    Returns:
        None if there is nothing to draw, and an empty text if all is drawn.
    """
    try:
        found = read_evaluations(run_dir, metric)
    except ConfigError as error:
        return None, str(error)
    if found is None:
        return None, "no evaluations to draw"
    left_out = found.env_steps[~np.isfinite(found.value)]
    if len(left_out) == 0:
        return found, ""
    note = (
        f"{metric} isn't finite in {len(left_out)} of {len(found.value)} evaluations, the first at "
        f"env step {left_out[0]:,.0f}; the curve leaves them out"
    )
    return finite({metric: found}).get(metric), note


def evaluated_metrics(run_dir: Path, groups: tuple[str, ...] = ("eval/",)) -> set[str]:
    """Return the metrics that a run's evaluations logged, those whose keys begin so.

    Raises:
        ConfigError: they can't be read.
    """
    return {key for key in read_metrics(run_dir) if key.startswith(groups)}


def join(runs: Sequence[Series], confidence: float = 0.95) -> Curve | None:
    """Return the interquartile mean of the runs and its interval over a common grid.

    The grid is the part of the env steps that all runs cover, with the points of the run that was
    evaluated least often; between its own evaluations a run is interpolated, beyond them never.
    Where each was evaluated once, at env steps that are the same but for 1 %, that is one point.

    Returns:
        None if the runs have no env step in common.
    """
    if not runs:
        return None
    low = max(run.env_steps[0] for run in runs)
    high = min(run.env_steps[-1] for run in runs)
    if low > _SAME * high:
        return None
    high = max(low, high)
    points = min((run.env_steps for run in runs), key=len)
    grid = np.unique([low, *points[(low < points) & (points < high)], high])
    values = np.array([np.interp(grid, *run) for run in runs])  # [R, G]
    interval = np.full((len(grid), 2), np.nan)
    if len(runs) > 1:
        # The same draws at every point, so that the band is as smooth as the runs are.
        ends = [stratified_bootstrap_interval(r, confidence=confidence) for r in values.T]
        interval = np.array(ends)
    return Curve(grid, interquartile_mean(values, axis=0), *interval.T)


def write_curves(curves: Mapping[str, Curve], path: Path) -> None:
    """Write curves by their label as one CSV, empty where there is no interval."""
    lines = io.StringIO(newline="")
    writer = csv.writer(lines)
    writer.writerow((_LABEL, *Curve._fields))
    for label, curve in curves.items():
        for point in zip(*curve, strict=True):
            numbers = ("" if np.isnan(value) else f"{value:.10g}" for value in point)
            writer.writerow((label, *numbers))
    content = lines.getvalue().encode()  # as bytes, for a text file may change the line ends
    write_whole(path, lambda temporary: temporary.write_bytes(content))


def read_curves(path: Path) -> dict[str | None, Curve]:
    """Read what :func:`write_curves` wrote; nothing if there is no such file.

    Up to 0.1 there was one curve in it, without a label: here it is None.
    """
    if not path.is_file():
        return {}
    points: dict[str | None, list[list[float]]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            point = [float(row[key] or "nan") for key in Curve._fields]
            points.setdefault(row.get(_LABEL), []).append(point)
    return {label: Curve(*np.array(some).T) for label, some in points.items()}


def plot(
    curves: Mapping[str, Curve],
    path: Path,
    *,
    title: str,
    metric: str = METRIC,
    log: bool = False,
    single: Sequence[Series] = (),
) -> str | None:
    """Draw a line with its band for each curve, and single runs as thin lines.

    Args:
        curves: by their label.
        path: of the picture.
        title: above it.
        metric: whose values the curves are.
        log: show the upper three to four powers of ten on a logarithmic scale, what is nearer to
            0 on a linear one.
        single: runs beside the curves.

    Returns:
        None, or why there is no plot: matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return f"{path.name} left out, matplotlib is missing: {PLOT_HINT}"
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    legend: dict[str, Any] = {}
    for run in single:
        [legend["single seeds"]] = axes.plot(*run, color="0.6", linewidth=0.8, alpha=0.8)
    for number, (name, curve) in enumerate(curves.items()):
        color = f"C{number % 10}"
        marker = "o" if len(curve.env_steps) == 1 else None
        [line] = axes.plot(curve.env_steps, curve.iqm, color=color, linewidth=2, marker=marker)
        legend[name] = line
        if not np.isnan(curve.low).all():
            ends = (curve.low, curve.high)
            band = axes.fill_between(curve.env_steps, *ends, fc=color, alpha=0.2, lw=0)
            legend[name] = (band, line)
    axes.set(title=title, xlabel="env steps", ylabel=MEANING.get(metric, metric))
    axes.set_xlim(left=0)
    if log:
        _scale_by_powers(axes, np.concatenate([curve.iqm for curve in curves.values()]))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(list(legend.values()), list(legend), edgecolor="none", framealpha=0.8)
    kind = path.suffix.removeprefix(".")
    write_whole(path, lambda temporary: figure.savefig(temporary, dpi=150, format=kind))
    return None


def _scale_by_powers(axes: Any, values: NDArray[np.float64]) -> None:
    largest = np.abs(values).max() or 1.0
    smallest = 10.0 ** np.floor(np.log10(largest) - 3)
    axes.set_yscale("symlog", linthresh=smallest)
    if values.min() >= 0:
        axes.set_ylim(bottom=-0.2 * smallest)  # 0 lies above the edge
