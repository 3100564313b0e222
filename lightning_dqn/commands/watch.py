"""``python -m lightning_dqn watch <run>``: look at a trained agent."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from lightning_dqn.commands.command import option, run_command
from lightning_dqn.commands.episodes import (
    epsilon_option,
    first_seed_option,
    fps_option,
    limit_option,
    run_option,
    trust_option,
)
from lightning_dqn.runs.playing import Epsilon, Limit


@dataclass
class WatchOptions:
    """Show a trained agent at work, in the environment's own window or as text.

      python -m lightning_dqn watch <run> [key=value ...]

    Text is what the environment draws as text, as a board, and else a line for each step with
    the Q-values by which its action was chosen. Ctrl-C ends it.
    """

    run: str = run_option()
    episodes: int = option("how many", 3, least=1)
    seed: int | None = first_seed_option()
    epsilon: Epsilon = epsilon_option()
    max_episode_steps: Limit = limit_option()
    fps: float | None = fps_option()
    trust: str | None = trust_option()
    text: bool = option("text, also where there could be a window", False)


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    run_command(arguments, WatchOptions, _run)


def _run(options: WatchOptions) -> None:
    from lightning_dqn.runs.finished import FinishedRun  # with torch, which the help does without
    from lightning_dqn.runs.trust import Trust
    from lightning_dqn.runs.watching import watch

    try:
        watch(FinishedRun.find(options.run, Trust.of(options.trust)), options, sys.stdout)
    except BrokenPipeError:  # a pager that was left, or `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
