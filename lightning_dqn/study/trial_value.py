"""What a trial of a search is worth, by the files of its run."""

from __future__ import annotations

import math
from pathlib import Path

from lightning_dqn.reporting.optuna_study import UNKNOWN_METRIC
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.study.curve import evaluated_metrics, read_evaluations
from lightning_dqn.study.results import read_run
from lightning_dqn.study.search import Search


class UnknownMetric(ConfigError):
    """What is searched by isn't logged by any run."""


def trial_value(search: Search, sweep: Path, run_dir: Path) -> float:
    """Return the value of a finished run: of ``eval/`` at its best, of ``test/`` at the end.

    Raises:
        UnknownMetric: no run logs the metric.
        ConfigError: this one has no value.
    """
    metric = search.metric
    if metric is None:
        return _number(read_run(sweep, run_dir).episode_return, "return", run_dir)
    found = read_evaluations(run_dir, metric)
    if found is None:
        known = ", ".join(sorted(evaluated_metrics(run_dir, ("eval/", "test/"))))
        raise UnknownMetric(UNKNOWN_METRIC.format(metric, known or "none"))
    if metric.startswith("test/"):
        return _number(float(found.value[-1]), metric, run_dir)
    best = found.value.min() if search.minimizes else found.value.max()
    return _number(float(best), metric, run_dir)


def _number(value: float, metric: str, run_dir: Path) -> float:
    if math.isnan(value):
        raise ConfigError(f"{run_dir.name}: {metric} is no number")
    return value
