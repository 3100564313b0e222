"""What a study came to: its results and tables, from its runs' files.

Shapes: R runs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_dqn.reporting.statistics import interquartile_mean, stratified_bootstrap_interval
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.study.curve import (
    METRIC,
    Curve,
    evaluated_metrics,
    join,
    plot,
    read_curve,
    read_evaluations,
    write_curve,
)
from lightning_dqn.system.files import SUMMARY, write_json, write_text

RESULTS, TABLE, CURVE, PLOT = "results.json", "table.md", "curve.csv", "curve.png"
CONFIDENCE = 0.95
INTERVAL = f"{100 * CONFIDENCE:.0f} % interval"


@dataclass(frozen=True)
class Run:
    """A finished run of a study; ``run_dir`` is relative to the study's folder."""

    seed: int
    episode_return: float
    episode_return_std: float
    episodes: int
    env_steps: int
    updates: int
    wall_seconds: float
    run_dir: str
    commit: str | None
    versions: dict[str, str]
    hardware: dict[str, str]


@dataclass(frozen=True)
class Failure:
    """A run that didn't finish; ``log`` is relative to the study's folder."""

    seed: int
    reason: str
    log: str


@dataclass(frozen=True)
class Results:
    """What a study came to; ``str`` of it is its table."""

    name: str
    folder: Path
    command: str
    overrides: tuple[str, ...]
    runs: tuple[Run, ...]
    failures: tuple[Failure, ...] = ()

    @property
    def returns(self) -> NDArray[np.float64]:
        """The mean test return of each finished run, float64[R]."""
        return np.array([run.episode_return for run in self.runs], dtype=np.float64)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The interval of the interquartile mean; None for a single run, which can't tell."""
        if len(self.runs) < 2:
            return None
        return stratified_bootstrap_interval(self.returns, confidence=CONFIDENCE)

    def aggregate(self) -> dict[str, Any]:
        """Return the statistics over the finished runs, empty if there is none."""
        if not self.runs:
            return {}
        returns = self.returns
        return {
            "runs": len(self.runs),
            "iqm": float(interquartile_mean(returns)),
            "interval": self.interval,
            "confidence": CONFIDENCE,
            "mean": float(returns.mean()),
            "median": float(np.median(returns)),
            "min": float(returns.min()),
            "max": float(returns.max()),
        }

    def __str__(self) -> str:
        rows = [["seed", "return", "±", "episodes", "env steps", "updates", "time"]]
        for run in self.runs:
            value, spread = f"{run.episode_return:.1f}", f"{run.episode_return_std:.1f}"
            counts = (f"{n:,}" for n in (run.episodes, run.env_steps, run.updates))
            rows.append([str(run.seed), value, spread, *counts, duration(run.wall_seconds)])
        rows += [[str(one.seed), "failed", *[""] * 5] for one in self.failures]
        return f"{markdown(rows)}\n\n{comparison({self.name: self})}"


def read_run(study: Path, run_dir: Path) -> Run:
    """Read a finished run of the study in the folder ``study``.

    Raises:
        ConfigError: the run has no readable summary, or played no test episodes.
    """
    path = run_dir / SUMMARY
    try:
        saved = json.loads(path.read_text())
        values = {name: saved[name] for name in Run.__dataclass_fields__ if name != "run_dir"}
        values["env_steps"] += saved["first_env_step"]  # what a continued run had before
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{path}: not the summary of a run ({error!r})") from error
    if values["episode_return"] is None:
        raise ConfigError(f"{path}: the run played no test episodes")
    return Run(**values, run_dir=os.path.relpath(run_dir, study))


def write_results(results: Results) -> list[str]:
    """Write results, table, curve and plot into the study's folder.

    Returns:
        What is left out and why, in a line each.
    """
    folder = results.folder
    write_text(folder / TABLE, f"# {results.name}\n\n`{results.command}`\n\n{results}\n")
    saved = {**asdict(results), "aggregate": results.aggregate()}
    del saved["folder"]  # which may be moved
    write_json(folder / RESULTS, saved)
    return _write_curve(results)


def _write_curve(results: Results) -> list[str]:
    if not results.runs:
        return []
    folder = results.folder
    found = {run.seed: read_evaluations(folder / run.run_dir) for run in results.runs}
    evaluations = [one for one in found.values() if one is not None]
    notes = [f"seed {seed}: no evaluations to draw" for seed, one in found.items() if one is None]
    curve = join(evaluations, CONFIDENCE)
    if curve is None:
        return [*notes, f"no {CURVE}: the runs have no evaluated env steps in common"]
    write_curve(curve, folder / CURVE)
    label = f"IQM of {len(evaluations)} seeds, {INTERVAL}"
    single = evaluations if len(evaluations) > 1 else ()
    lines = {label if single else f"seed {results.runs[0].seed}": curve}
    note = plot(lines, folder / PLOT, title=results.name, single=single)
    return [*notes, note] if note else notes


def read_results(folder: str | Path) -> Results:
    """Read what :func:`write_results` wrote.

    Raises:
        ConfigError: the folder isn't that of a finished study.
    """
    path = Path(folder) / RESULTS
    try:
        saved = json.loads(path.read_text())
        return Results(
            name=saved["name"],
            folder=Path(folder),
            command=saved["command"],
            overrides=tuple(saved["overrides"]),
            runs=tuple(Run(**run) for run in saved["runs"]),
            failures=tuple(Failure(**one) for one in saved["failures"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: not the results of a finished study ({error!r})") from error


def write_comparison(
    studies: Sequence[Results], folder: Path, metric: str = METRIC, *, log: bool = False
) -> tuple[str, list[str]]:
    """Write one table of several studies and one plot of ``metric`` into ``folder``.

    Args:
        studies: to compare.
        folder: for both; made if need be.
        metric: a key of the runs' evaluations.
        log: draw it on a logarithmic scale.

    Returns:
        The table, and what is left out and why, in a line each.

    Raises:
        ConfigError: no run of the studies was evaluated by the metric; nothing was written.
    """
    _check_metric(studies, metric)
    labelled = dict(zip(labels(studies), studies, strict=True))
    table = comparison(labelled)
    commands = "\n".join(f"- {label}: `{study.command}`" for label, study in labelled.items())
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / TABLE, f"{table}\n\n{commands}\n")
    found = {label: _curve(study, metric) for label, study in labelled.items()}
    what = CURVE if metric == METRIC else f"{metric} at env steps in common"
    notes = [f"{label}: no {what}, so no line" for label, one in found.items() if one is None]
    curves = {label: one for label, one in found.items() if one is not None}
    title = f"IQM and {INTERVAL} over seeds"
    note = plot(curves, folder / PLOT, title=title, metric=metric, log=log) if curves else None
    return table, [*notes, note] if note else notes


def _check_metric(studies: Sequence[Results], metric: str) -> None:
    runs = [study.folder / run.run_dir for study in studies for run in study.runs]
    known = set[str]().union(*map(evaluated_metrics, runs))
    if metric != METRIC and metric not in known:
        there_are = ", ".join(sorted(known)) or "none"
        raise ConfigError(f"metric={metric}: no run was evaluated by it; there are {there_are}")


def _curve(study: Results, metric: str) -> Curve | None:
    if metric == METRIC:
        return read_curve(study.folder / CURVE)
    runs = [read_evaluations(study.folder / run.run_dir, metric) for run in study.runs]
    return join([run for run in runs if run is not None], CONFIDENCE)


def comparison(studies: Mapping[str, Results]) -> str:
    """Return a Markdown table of one row for each study, by its label."""
    head = ["study", "seeds", f"IQM [{INTERVAL}]", "mean", "median", "min", "max", "env steps"]
    rows = [[*head, "time per seed"]]
    for label, study in studies.items():
        total = len(study.runs) + len(study.failures)
        seeds = f"{len(study.runs)} of {total}" if study.failures else f"{total}"
        cells = ["failed", *[""] * 6]
        if study.runs:
            values = study.aggregate()
            numbers = (f"{values[key]:.1f}" for key in ("mean", "median", "min", "max"))
            cells = [iqm_text(study), *numbers, env_steps_text(study), time_text(study)]
        rows.append([label, seeds, *cells])
    return markdown(rows)


def labels(studies: Sequence[Results]) -> list[str]:
    """Return a short label for each study: its name, and what sets it apart from its namesakes."""
    shared = set.intersection(*(set(study.overrides) for study in studies))
    names = [study.name for study in studies]
    found: list[str] = []
    for study in studies:
        own = " ".join(one for one in study.overrides if one not in shared)
        label = f"{study.name} {own}".strip() if names.count(study.name) > 1 else study.name
        found.append(label if label not in found else f"{label} ({study.folder.name})")
    return found


def iqm_text(study: Results) -> str:
    """Return the interquartile mean and its interval, as ``500.0 [498.1, 500.0]``."""
    text, interval = f"{interquartile_mean(study.returns):.1f}", study.interval
    return text if interval is None else f"{text} [{interval[0]:.1f}, {interval[1]:.1f}]"


def env_steps_text(study: Results) -> str:
    """Return the env steps of a run, those of the longest where they differ."""
    return f"{max(run.env_steps for run in study.runs):,}"


def time_text(study: Results) -> str:
    """Return the median wall-clock time of a run."""
    return duration(float(np.median([run.wall_seconds for run in study.runs])))


def duration(seconds: float) -> str:
    """Return a time for people: ``31 s``, ``12 min``, ``3.4 h``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6_000 else f"{seconds / 3_600:.1f} h"


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, the first row its head, that also reads well as plain text."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = [("-" * (width - 1) + ":") if i else "-" * width for i, width in enumerate(widths)]
    lines = [
        [
            cell.rjust(w) if i else cell.ljust(w)
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        for row in [rows[0], rule, *rows[1:]]
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
