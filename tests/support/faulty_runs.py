"""Runs of the command line whose environments fail, each with a fault at one time of a run."""

from __future__ import annotations

import subprocess
from pathlib import Path

from support.processes import SHORT, command

TESTS = Path(__file__).parent.parent


def run_with(
    fault: str, time: str, folder: Path, *more: str, again: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run 256 env steps in 4 workers with a fault in one of them.

    Args:
        fault: of :class:`FaultyEnv`.
        time: ``warm-up`` (the first 16 env steps of each), ``training`` or ``evaluation``.
        folder: where the run goes, and the file by which a fault knows that it has been.
        more: arguments.
        again: each worker has the fault, and each that replaces it.
    """
    faulty = "environment" if time != "evaluation" else "data.evaluation.environment"
    at = {"warm-up": 5, "training": 40, "evaluation": 1}[time]
    once = [] if again else [f"++{faulty}.kwargs.once={folder / 'once'}"]
    return command(
        "environment=gymnasium",
        "environment.id=support.faulty_registered:Faulty-v0",
        "environment.num_envs=4",
        "environment.vectorization=async",
        "environment.worker_timeout=2",
        *_evaluation(time),
        f"++{faulty}.kwargs.fault={fault}",
        f"++{faulty}.kwargs.at={at}",
        *once,
        *SHORT,
        *more,
        cwd=folder,
        PYTHONPATH=f"{TESTS}:{TESTS.parent}",
    )


def _evaluation(time: str) -> list[str]:
    """Return what keeps the fault out of training, or out of evaluation."""
    own = {
        "_target_": "lightning_dqn.environments.factory.EnvironmentFactory",
        "id": "support.faulty_registered:Faulty-v0",
        "vectorization": "async" if time == "evaluation" else "sync",
        "worker_timeout": "2",
    }
    return [f"++data.evaluation.environment.{key}={value}" for key, value in own.items()]
