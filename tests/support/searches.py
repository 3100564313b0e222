"""Searches whose trials are played by a script, for all that may become of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lightning_dqn.runs.jobs import SweepJob
from lightning_dqn.study.launcher import Ended
from lightning_dqn.study.search import Search
from lightning_dqn.study.sweep import Sweep
from lightning_dqn.system.files import FAILURE, PRUNED, SUMMARY

ASKED: dict[str, Any] = {
    "params": {"lr": "interval(0.0,1.0)"},
    "fixed": ["seed=100"],
    "n_trials": 4,
    "n_jobs": None,
    "direction": "maximize",
    "metric": None,
    "sampler": "random",
    "seed": 0,
    "pruner": "median",
    "startup_trials": 4,
    "warmup_env_steps": 0,
}
"""What a search is asked for, of one number."""

Script = Callable[[SweepJob, Path], str | None]
"""Leaves files of a job in its folder, and returns why it failed."""


def asked(**changed: Any) -> Search:
    return Search.of({**ASKED, **changed})


def sweep_in(folder: Path, **changed: Any) -> Sweep:
    return Sweep("fake", folder, ("sweep=optuna",), (), search=asked(**changed))


def finish(run_dir: Path, value: float, seed: int = 100) -> None:
    """Leave what a run leaves that returned ``value``, and half of it in an evaluation."""
    run_dir.mkdir(parents=True, exist_ok=True)
    rows = f"time/env_steps,eval/episode_return,eval/length\n100,{value / 2},7\n200,{value},5\n"
    (run_dir / "metrics.csv").write_text(rows)
    result = {"episode_return": value, "episode_return_std": 1.0, "episodes": 3, "seed": seed}
    result |= {"env_steps": 200, "first_env_step": 0, "updates": 7, "wall_seconds": 1.5}
    result |= {"commit": None, "versions": {}, "hardware": {"cpu": "a CPU", "device": "cpu"}}
    (run_dir / SUMMARY).write_text(json.dumps(result))


def give_up(run_dir: Path) -> None:
    """Leave what a run leaves that was pruned."""
    run_dir.mkdir(parents=True, exist_ok=True)
    pruned = {"env_steps": 100, "metric": "eval/episode_return", "value": 1.0}
    (run_dir / PRUNED).write_text(json.dumps(pruned))


def fail(run_dir: Path, reason: str) -> str:
    """Leave what a run leaves that failed."""
    run_dir.mkdir(parents=True, exist_ok=True)
    (run_dir / FAILURE).write_text(json.dumps({"error": reason, "type": "ValueError"}))
    return reason


class Scripted:
    """Runs jobs by a script, one after the other.

    Attributes:
        launched: the jobs, as they were handed over.
    """

    def __init__(self, script: Script) -> None:
        self.launched: list[SweepJob] = []
        self._script = script

    def run(self, sweep: Sweep, jobs: Iterator[SweepJob], ended: Ended) -> None:
        for job in jobs:
            self.launched.append(job)
            ended(job, self._script(job, sweep.run_dir(job)))
