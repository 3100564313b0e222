"""Several runs by one command: how they are gone on with and ended on the command line."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from lightning_dqn.runs.compose import Composer
from lightning_dqn.runs.mistakes import INTERRUPTED, told
from lightning_dqn.runs.trust import take_trust
from lightning_dqn.safekeeping.signals import Stopped
from lightning_dqn.study.conduct import interrupt_when_terminated
from lightning_dqn.study.launching import Task, launch
from lightning_dqn.study.planning import again, check_pending, gone_on_with
from lightning_dqn.study.sweep import Sweep, read_sweep


def run(composer: Composer, sweep: Sweep, task: Task) -> NoReturn:
    """Run what isn't finished of a sweep, say what all came to, and end this process.

    The status is 1 where a job failed; that of a signal where one ended it.
    """
    interrupt_when_terminated()
    try:
        with told(composer.explain):
            results = launch(composer, sweep, task)
    except (KeyboardInterrupt, Stopped) as end:
        why = end if isinstance(end, Stopped) else "stopped by SIGINT"
        print(f"\n{why}; continue with: {again(sweep, composer)}", file=sys.stderr, flush=True)
        sys.exit(end.exit_status if isinstance(end, Stopped) else INTERRUPTED)
    sys.exit(1 if results.failures else 0)


def resume(folder: Path, arguments: Sequence[str], task: Task) -> NoReturn:
    """Go on with a sweep or a study, in its folder and as it was asked for."""
    with told():
        trust, rest = take_trust(arguments)
        sweep = read_sweep(folder)
        composer = gone_on_with(sweep, rest)
    with composer:
        with told(composer.explain):
            check_pending(composer, sweep, trust)
        run(composer, sweep, task)
