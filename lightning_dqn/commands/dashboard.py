"""``python -m lightning_dqn dashboard``: a W&B workspace for runs of this package."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lightning_dqn.commands.command import run_command
from lightning_dqn.runs.options import option


@dataclass
class DashboardOptions:
    """Make a W&B workspace: all that runs log in sections, over env steps, runs grouped.

      python -m lightning_dqn dashboard [key=value ...]

    It prints the workspace's address. Each call makes a new one.
    pip install 'lightning-dqn[dashboard]'
    """

    entity: str | None = option("user or team; null: WANDB_ENTITY, else the account's own", None)
    project: str | None = option("the runs' project; null: WANDB_PROJECT, else lightning-dqn", None)
    name: str = option("name of the workspace", "lightning-dqn")
    path: str | None = option(
        "write it to this JSON file, without an account; null: save it to W&B", None
    )


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    run_command(arguments, DashboardOptions, _run)


def _run(options: DashboardOptions) -> None:
    from lightning_dqn.runs import dashboard  # with W&B, which the help does without

    entity = options.entity or os.environ.get("WANDB_ENTITY", "")
    project = options.project or os.environ.get("WANDB_PROJECT", "lightning-dqn")
    made = dashboard.workspace(entity=entity, project=project, name=options.name)
    if options.path is not None:
        dashboard.write(made, Path(options.path))
        print(f"written to {options.path}")
        return
    dashboard.check_reachable()
    made.entity = entity or dashboard.default_entity()
    print(dashboard.save(made))
