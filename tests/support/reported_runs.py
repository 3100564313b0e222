"""Folders of runs and sweeps as training leaves them, without any training."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from lightning_dqn.runs.jobs import SweepJob
from lightning_dqn.study.suite import Suite
from lightning_dqn.study.sweep import Sweep

COMMIT = "0123456789" * 4
EVALUATED = ((100, 1.0), (200, 2.0), (300, 4.0))


def make_run(
    folder: Path,
    *,
    seed: int = 0,
    episode_return: float | None = 10.0,
    evaluated: Sequence[tuple[int, float]] = EVALUATED,
    config: Mapping[str, Any] | None = None,
    is_finished: bool = True,
    environment: str = "CartPole-v1",
    overrides: Sequence[str] = ("+experiment=made",),
) -> Path:
    """Write what a run leaves: rows of metrics, its configuration and its summary."""
    (folder / ".hydra").mkdir(parents=True)
    rows = [f"{steps},{value},{1 / steps},0.5," for steps, value in evaluated]
    rows.append("300,,,,10.0")
    head = "time/env_steps,eval/episode_return,train/loss,train/learning_rate,test/episode_return"
    if evaluated:
        (folder / "metrics.csv").write_text("\n".join([head, *rows]) + "\n")
    whole = {
        "name": "made",
        "seed": seed,
        "run_dir": "${hydra:runtime.output_dir}",
        "environment": {"id": environment, "kwargs": {}},
        "callbacks": {"best": {"dirpath": "${run_dir}/checkpoints"}},
        **(config or {}),
    }
    (folder / ".hydra" / "config.yaml").write_text(yaml.dump(whole))
    (folder / ".hydra" / "overrides.yaml").write_text(yaml.dump([*overrides, f"seed={seed}"]))
    if is_finished:
        (folder / "summary.json").write_text(json.dumps(summary(seed, episode_return)))
    return folder


def summary(seed: int, episode_return: float | None) -> dict[str, Any]:
    """Return what a finished run says of itself."""
    return {
        "episode_return": episode_return,
        "episode_return_std": None if episode_return is None else 1.5,
        "episodes": 0 if episode_return is None else 20,
        "seed": seed,
        "env_steps": 300,
        "first_env_step": 0,
        "updates": 75,
        "wall_seconds": 31.0,
        "commit": COMMIT,
        "versions": {"torch": "2.13.0"},
        "hardware": {"cpu": "a processor", "device": "cpu"},
    }


def make_sweep(
    folder: Path,
    settings: Mapping[str, Sequence[float]],
    *,
    name: str = "made",
    suite: Suite | None = None,
    environments: Mapping[str, str] | None = None,
) -> Path:
    """Write a finished sweep: by an override the return of each seed."""
    jobs = []
    for override, returns in settings.items():
        key, _, value = override.partition("=")
        for seed, episode_return in enumerate(returns):
            job = SweepJob(f"{override},seed={seed}", (override, f"seed={seed}"))
            jobs.append(job)
            make_run(
                folder / job.name,
                seed=seed,
                episode_return=episode_return,
                evaluated=[(steps, value * episode_return) for steps, value in EVALUATED],
                config={"module": {key: value}},
                environment=(environments or {}).get(override, "CartPole-v1"),
                overrides=(override,),
            )
    command = ("study", *settings)
    Sweep(name, folder, command, tuple(jobs), num_at_once=1, suite=suite).write()
    return folder
