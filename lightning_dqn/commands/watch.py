"""``python -m lightning_dqn watch <run>``: look at a trained agent."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from lightning_dqn.commands.command import run_command
from lightning_dqn.runs.finished.options import WatchOptions


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    run_command(arguments, WatchOptions, _run)


def _run(options: WatchOptions) -> None:
    from lightning_dqn.runs.finished.finished_run import FinishedRun  # the help has no torch
    from lightning_dqn.runs.finished.watching import watch
    from lightning_dqn.runs.trust import Trust

    try:
        watch(FinishedRun.find(options.run, Trust.of(options.trust)), options, sys.stdout)
    except BrokenPipeError:  # a pager that was left, or `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
