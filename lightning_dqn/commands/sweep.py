"""Several runs by one command: how they are gone on with and ended on the command line."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from lightning_dqn.runs.compose import Composer
from lightning_dqn.runs.mistakes import INTERRUPTED, exit_on_mistake, tell
from lightning_dqn.runs.trust import take_trust
from lightning_dqn.safekeeping.signals import Stopped, requeue
from lightning_dqn.study.conduct import interrupted_when_terminated
from lightning_dqn.study.launching import Task, launch, launch_search
from lightning_dqn.study.planning import again, check_pending, gone_on_with
from lightning_dqn.study.searching import Searching, continued
from lightning_dqn.study.sweep import Sweep, read_sweep


def run(
    composer: Composer,
    sweep: Sweep,
    task: Task,
    pruner: Mapping[str, Any] | None = None,
    *,
    again_goes_on: bool = False,
) -> NoReturn:
    """Run what isn't finished of a sweep, say what all came to, and end this process.

    The status is 1 where a job failed; that of a signal where one ended it.

    Args:
        composer: of its jobs.
        sweep: all of its jobs.
        task: runs one of them.
        pruner: of a search, which makes up its jobs.
        again_goes_on: the same command goes on with it, so that SLURM may be asked to run its job
            again.
    """
    tell(composer.notes)
    try:
        with interrupted_when_terminated(), exit_on_mistake(composer.explain):
            if pruner is None:
                results = launch(composer, sweep, task)
            else:
                results = launch_search(composer, sweep, task, pruner=pruner)
    except (KeyboardInterrupt, Stopped) as end:
        why = end if isinstance(end, Stopped) else "stopped by SIGINT"
        told_now = [f"{why}; continue with: {again(sweep, composer)}"]
        if isinstance(end, Stopped) and end.is_preemption:
            told_now += _requeued(sweep, again_goes_on)
        print("\n" + "\n".join(told_now), file=sys.stderr, flush=True)
        sys.exit(end.exit_status if isinstance(end, Stopped) else INTERRUPTED)
    sys.exit(1 if results.failures else 0)


def _requeued(sweep: Sweep, again_goes_on: bool) -> list[str]:
    """Ask for a job of SLURM's to be run again, unless all would begin anew; say what became."""
    if again_goes_on:
        return requeue(os.environ, f"the same command continues in {sweep.folder}")
    if "SLURM_JOB_ID" not in os.environ:
        return []
    return [
        "  SLURM isn't asked to run the job again, where the same command would begin anew; "
        f"resume {sweep.folder}, or a study with folder=<folder>, continues it"
    ]


def search(searching: Searching, task: Task, *, again_goes_on: bool = False) -> NoReturn:
    """Begin a search or go on with it, after all checks; see :func:`run`."""
    parts = (searching.composer, searching.sweep, task, searching.pruner)
    with searching.composer:
        run(*parts, again_goes_on=again_goes_on)


def resume(folder: Path, arguments: Sequence[str], task: Task) -> NoReturn:
    """Go on with a sweep or a study, in its folder and as it was asked for."""
    with exit_on_mistake():
        trust, rest = take_trust(arguments)
        sweep = read_sweep(folder)
        if sweep.search is not None:
            search(continued(sweep, rest, trust), task, again_goes_on=True)
        composer = gone_on_with(sweep, rest)
    with composer:
        with exit_on_mistake(composer.explain):
            sweep = check_pending(composer, sweep, trust)
        run(composer, sweep, task, again_goes_on=True)
