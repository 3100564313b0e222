"""What one setting came to over its seeds, from its runs' files.

Shapes: R runs.
"""

from __future__ import annotations

import math
import os
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_dqn.reporting.statistics import interquartile_mean, stratified_bootstrap_interval
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.json_file import read_json
from lightning_dqn.study.curve import METRIC, read_evaluations
from lightning_dqn.system.files import SUMMARY

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Run:
    """A finished run; ``run_dir`` is relative to its sweep's folder.

    ``episode_return`` is what its test episodes return. Of a run with ``test=false`` it is its best
    evaluation, and ``episodes`` is 0. ``tested`` is what was tested, ``evaluation`` how:
    ``epsilon`` and ``max_episode_steps``. Where a run doesn't say these, they are None, as the
    number of test episodes that were cut. ``changed_by_hand`` has a line for each change of a
    hyper-parameter while it learned, so that no command makes the run again.
    """

    seed: int
    episode_return: float
    episode_return_std: float | None
    episodes: int
    env_steps: int
    updates: int
    wall_seconds: float
    run_dir: str
    commit: str | None
    versions: dict[str, str]
    hardware: dict[str, str]
    episodes_cut: int | None = None
    tested: str | None = None
    evaluation: dict[str, Any] | None = None
    changed_by_hand: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failure:
    """A run that didn't finish; ``run_dir`` is relative to its sweep's folder."""

    seed: int | None
    reason: str
    run_dir: str


@dataclass(frozen=True)
class PrunedRun:
    """A run that its search gave up at an evaluation; ``run_dir`` is as in :class:`Run`."""

    seed: int | None
    env_steps: int
    metric: str
    value: float
    run_dir: str


@dataclass(frozen=True)
class Results:
    """What a setting came to.

    Attributes:
        name: of the sweep, or what sets the setting apart in it.
        folder: of the sweep.
        command: that runs the setting again.
        overrides: of the setting.
        runs: that are finished.
        failures: those that aren't.
        pruned: those that were given up.
        value: of a trial of a search, which ranks it; None: it has none.
    """

    name: str
    folder: Path
    command: str
    overrides: tuple[str, ...]
    runs: tuple[Run, ...]
    failures: tuple[Failure, ...] = ()
    pruned: tuple[PrunedRun, ...] = ()
    value: float | None = None

    @property
    def returns(self) -> NDArray[np.float64]:
        """The return of each finished run, float64[R]."""
        return np.array([run.episode_return for run in self.runs], dtype=np.float64)

    @property
    def iqm(self) -> float:
        """The interquartile mean of the returns; -inf where no run is finished."""
        return float(interquartile_mean(self.returns)) if self.runs else -np.inf

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
            "iqm": self.iqm,
            "interval": self.interval,
            "confidence": CONFIDENCE,
            "mean": float(returns.mean()),
            "median": float(np.median(returns)),
            "min": float(returns.min()),
            "max": float(returns.max()),
        }


def read_run(sweep: Path, run_dir: Path) -> Run:
    """Read a finished run of the sweep in the folder ``sweep``.

    Raises:
        ConfigError: the run has no readable summary, was neither tested nor evaluated, or its
            return isn't finite, which no average may hide.
    """
    path = run_dir / SUMMARY
    remedy = "delete it, and resuming the run tests it anew"
    with read_json(path, "the summary of a run", remedy) as saved:
        known = [one for one in fields(Run) if one.name != "run_dir"]
        values = {
            one.name: saved[one.name]
            if one.default is MISSING
            else saved.get(one.name, one.default)
            for one in known
        }
        values["env_steps"] += saved["first_env_step"]  # what a continued run had before
        values["changed_by_hand"] = tuple(values["changed_by_hand"])
    if values["episode_return"] is None:
        values["episode_return"] = _best_evaluation(run_dir)
    if not math.isfinite(values["episode_return"]):
        raise ConfigError(
            f"{run_dir}: its return is {values['episode_return']}, and no average may hide that; "
            "find out why, then delete the folder to run it again"
        )
    return Run(**values, run_dir=os.path.relpath(run_dir, sweep))


def _best_evaluation(run_dir: Path) -> float:
    """Return that of a run that wasn't tested, NaN where any evaluation is."""
    evaluations = read_evaluations(run_dir)
    if evaluations is None:
        raise ConfigError(f"{run_dir}: was neither tested nor evaluated by {METRIC}")
    return float(evaluations.value.max())
