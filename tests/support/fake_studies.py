"""Studies of a fake program in place of training, for all that may go wrong, and their results."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from lightning_dqn.runs.compose import Composer
from lightning_dqn.runs.jobs import SweepJob
from lightning_dqn.runs.jobs_check import Plan
from lightning_dqn.study import asked, planning, processes
from lightning_dqn.study.processes import Processes
from lightning_dqn.study.results import Results, Run
from lightning_dqn.study.sweep import Sweep

FAKE = """
import json, os, signal, sys, time
from pathlib import Path

run_dir, seed = Path(sys.argv[1]), int(sys.argv[2])
order = run_dir.parent.parent / f"order_{seed}"
order = order.read_text() if order.exists() else ""
run_dir.mkdir()
heard = []
if order == "save":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, lambda number, frame: heard.append(signal.Signals(number).name))
(run_dir / "began").touch()
print("began, WANDB_RUN_ID", os.environ.get("WANDB_RUN_ID"))
if order == "sleep":
    time.sleep(60)
if order == "save":
    while not heard:
        time.sleep(0.02)
    time.sleep(float(os.environ.get("SECONDS_TO_SAVE", 0.5)))
    (run_dir / "heard").write_text(" ".join(heard))
    sys.exit(143)
if order == "fail":
    sys.exit("boom")
if order == "vanish":
    sys.exit(0)
(run_dir / "metrics.csv").write_text(
    "time/env_steps,eval/episode_return,eval/mean_regret,train/loss\\n"
    f"{100 + seed},{seed},{1 / seed if seed else ''},0.5\\n{200 + seed},{2 * seed},0,0.25\\n"
)
result = {"episode_return": 10.0 * seed, "episode_return_std": 1.0, "episodes": 3, "seed": seed}
result |= {"env_steps": 200 + seed, "first_env_step": 0, "updates": 7, "wall_seconds": 1.5}
result |= {"commit": "a" * 40, "versions": {}, "hardware": {"cpu": "a CPU", "device": "cpu"}}
(run_dir / "summary.json").write_text(json.dumps(result))
if order == "fail late":
    sys.exit(4)
"""
"""Its return is 10 times its seed; what it is to do instead lies in a file beside the study."""


def unchecked(composer: Composer, goes_on: object = None) -> Plan:
    """Return the plan of a command line whose keys training doesn't have."""
    jobs = tuple(SweepJob(job.name, job.overrides, job.config.seed) for job in composer.jobs())
    return Plan("fake", composer.sweep_folder, jobs)


def fake_command(self: Processes, sweep: Sweep, job: SweepJob) -> list[str]:
    """Return the command of the fake program for a job."""
    return [sys.executable, "-c", FAKE, str(sweep.run_dir(job)), str(job.seed)]


def replace_training(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the fake program in place of training, and ``folder`` in that of the working folder."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(Processes, "_command", fake_command)
    for module in (asked, planning):
        monkeypatch.setattr(module, "check_jobs", unchecked)
    monkeypatch.setattr(processes, "POLL_SECONDS", 0.02)


def made_results(
    folder: Path,
    name: str,
    returns: tuple[float, ...] = (1.0, 2.0, 3.0),
    overrides: tuple[str, ...] = (),
    **run: Any,
) -> Results:
    """Return results of runs with these returns; ``run`` is what else is to be known of each."""
    origin = {"versions": {}, "hardware": {"cpu": "a CPU", "device": "cpu"}}
    values = {"episode_return_std": 0.0, "episodes": 100, "env_steps": 1_000, "updates": 9}
    values |= {"wall_seconds": 31.0, "commit": "0123456789", **origin, **run}
    runs = [
        Run(seed=seed, episode_return=value, run_dir=f"{name}-seed={seed}", **values)
        for seed, value in enumerate(returns)
    ]
    return Results(name, folder, f"run {name}", tuple(overrides), tuple(runs))
