"""A trained agent in one line of Python."""

from __future__ import annotations

from pathlib import Path

from lightning_dqn.agent import Agent
from lightning_dqn.runs.finished.finished_run import FinishedRun
from lightning_dqn.runs.trust import Trust


def load(path: str | Path, *, trust: str | None = None) -> Agent:
    """Return a trained agent on the CPU, in evaluation mode.

    Nothing in the folder is run and nothing is fetched, but for ``wandb:``; the weights are held
    against their checksum.

    Args:
        path: a run's folder, a checkpoint in it, a folder that was published, or
            ``wandb:entity/project/name:version``.
        trust: modules of one's own that its configuration may name, as ``my_package,my_module``.

    Raises:
        ValueError: it is missing, damaged or something else, or names what isn't trusted.
    """
    return FinishedRun.find(path, Trust.of(trust)).agent()
