"""From what is asked for to jobs that run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hydra.core.plugins import Plugins
from omegaconf import DictConfig

from lightning_dqn.runs.compose import Composer, Multirun
from lightning_dqn.study.by_hydra import ByHydra
from lightning_dqn.study.conduct import Say, conduct, say_to_terminal
from lightning_dqn.study.launcher import Launcher
from lightning_dqn.study.processes import Processes
from lightning_dqn.study.sweep import Sweep
from lightning_dqn.study.sweep_results import SweepResults

Task = Callable[[DictConfig], Any]
"""Runs a job by its configuration, in the process that it is in."""


def launch(
    composer: Composer, sweep: Sweep, task: Task, *, say: Say = say_to_terminal
) -> SweepResults:
    """Run the jobs of a sweep that aren't finished, by the launcher that is configured.

    Args:
        composer: of the command line that asked for the sweep.
        sweep: all of its jobs.
        task: runs one of them.
        say: takes lines for the terminal.
    """
    sweep.folder.mkdir(parents=True, exist_ok=True)
    with composer.multirun(sweep.folder) as multirun:
        return conduct(sweep, launcher_of(composer, multirun, task), say=say)


def launcher_of(composer: Composer, multirun: Multirun, task: Task) -> Launcher:
    """Return the launcher that ``hydra/launcher`` names."""
    node = multirun.config.hydra.launcher
    if node._target_.rpartition(".")[2] == Processes.__name__:
        return Processes(int(node.n_jobs), composer.arguments_of_jobs)
    launcher = Plugins.instance().instantiate_launcher(
        hydra_context=multirun.context, task_function=task, config=multirun.config
    )
    return ByHydra(launcher, multirun.config.hydra.sweeper.get("max_batch_size"))
