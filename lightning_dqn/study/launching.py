"""From what is asked for to jobs that run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import configure_log
from omegaconf import DictConfig

from lightning_dqn.runs.compose import Composer
from lightning_dqn.runs.hydra_jobs import Multirun
from lightning_dqn.study.by_hydra import ByHydra
from lightning_dqn.study.conduct import Say, conduct, say_to_terminal
from lightning_dqn.study.launcher import Launcher
from lightning_dqn.study.processes import Processes
from lightning_dqn.study.search_conduct import conduct_search
from lightning_dqn.study.sweep import Sweep
from lightning_dqn.study.sweep_results import SweepResults
from lightning_dqn.system.variables import given_back

_IN_THIS_PROCESS = "BasicLauncher"
_RUN_ID = "WANDB_RUN_ID"

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
    with composer.multirun(sweep.folder) as multirun, _ids_of_their_own(say):
        return conduct(sweep, launcher_of(composer, multirun, task), say=say)


def launch_search(
    composer: Composer,
    sweep: Sweep,
    task: Task,
    *,
    pruner: Mapping[str, Any],
    say: Say = say_to_terminal,
) -> SweepResults:
    """Run the trials of a search that there aren't yet; see :func:`launch`.

    Args:
        composer: of what its jobs have in common.
        sweep: with what is to be searched.
        task: runs a job.
        pruner: see :meth:`lightning_dqn.study.search.Search.pruner_asked`.
        say: takes lines for the terminal.
    """
    assert sweep.search is not None, "a search"
    with composer.multirun(sweep.folder) as multirun, _ids_of_their_own(say):
        at_once = sweep.search.n_jobs or max(1, multirun.config.hydra.launcher.get("n_jobs") or 1)
        launcher = launcher_of(composer, multirun, task, at_once)
        return conduct_search(sweep, launcher, at_once=at_once, pruner=pruner, say=say)


def launcher_of(
    composer: Composer, multirun: Multirun, task: Task, at_once: int | None = None
) -> Launcher:
    """Return the launcher that ``hydra/launcher`` names.

    Args:
        composer: of the jobs.
        multirun: what Hydra's launchers need.
        task: runs a job.
        at_once: jobs beside each other, each in a process where nothing else is named; None: as
            the launcher has it.
    """
    node = multirun.config.hydra.launcher
    name = node._target_.rpartition(".")[2]
    if name == Processes.__name__ or (name == _IN_THIS_PROCESS and (at_once or 1) > 1):
        return Processes(at_once or int(node.n_jobs), composer.arguments_of_jobs)
    configure_log(multirun.config.hydra.hydra_logging, multirun.config.hydra.verbose)
    launcher = Plugins.instance().instantiate_launcher(
        hydra_context=multirun.context, task_function=task, config=multirun.config
    )
    batch_size = at_once or multirun.config.hydra.sweeper.get("max_batch_size")
    return ByHydra(launcher, batch_size)


@contextmanager
def _ids_of_their_own(say: Say) -> Iterator[None]:
    """Let no job take the id in W&B's variable: it names one run, into which all would write."""
    with given_back(_RUN_ID):
        named = os.environ.pop(_RUN_ID, None)
        if named is not None:
            say(f"{_RUN_ID}={named} names one run; the jobs here take ids of their own")
        yield
