"""``python -m lightning_dqn resume <run>``: continue an interrupted or finished run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lightning_dqn.commands import train
from lightning_dqn.commands.command import part_arguments, read_options, usage
from lightning_dqn.runs.mistakes import exit_on_mistake
from lightning_dqn.runs.options import option


@dataclass(frozen=True)
class ResumeOptions:
    """Continue a run, a sweep or a study, in its folder and with its own configuration.

      python -m lightning_dqn resume <run folder> [key=value ...]
      python -m lightning_dqn resume <run folder> trainer.max_epochs=20      longer than planned
      python -m lightning_dqn <keys> hydra.run.dir=<folder> resume=auto      begin or continue

    The run continues as if it had never stopped. The keys of python -m lightning_dqn may change its
    budget, evaluation, loggers and devices; any other change would make it another run, and is
    refused. Of a sweep or a study, unfinished jobs continue and jobs that had not begun begin.
    """

    run: str = option("folder of a run, a sweep or a study", is_path=True)


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    if not arguments or "--help" in arguments or "-h" in arguments:
        print(usage(ResumeOptions))
        return
    own, rest = part_arguments(arguments, ResumeOptions)
    with exit_on_mistake():
        run = read_options(own, ResumeOptions).run
    train.main([f"resume={run}", *rest])
