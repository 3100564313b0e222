"""``python -m lightning_dqn +experiment=cartpole trainer.max_epochs=3``: train."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from lightning_dqn.commands.command import USAGE_ERROR
from lightning_dqn.commands.help import print_help
from lightning_dqn.former_names import former_words
from lightning_dqn.runs.compose import (
    CONFIG_MODULE,
    compose,
    expand_resume,
    explain,
    grid_jobs,
    parse_arguments,
    training_module,
)


def main(arguments: Sequence[str]) -> None:
    """Train, or print help."""
    if "--help" in arguments or "-h" in arguments:
        return print_help([a for a in arguments if a not in ("--help", "-h")])
    try:
        arguments, told = former_words(arguments)
        for line in told:
            print(f"lightning-dqn: {line}", file=sys.stderr)
        arguments, _ = former_words(expand_resume(arguments))
        check(arguments)
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        print(f"lightning-dqn: {explain(error)}", file=sys.stderr)
        sys.exit(USAGE_ERROR)
    sys.argv[1:] = arguments
    train()


@hydra.main(config_path=f"pkg://{CONFIG_MODULE}", config_name="config", version_base="1.3")
def train(config: DictConfig) -> float | None:
    """Train as the configuration says; return the test return, for sweepers."""
    training = training_module()
    summary = training.run(training.prepare(config))
    print(f"\n{summary}")
    return summary.episode_return


def check(arguments: list[str]) -> None:
    """Refuse a configuration that can't run, before a run's folder or logger exists.

    Raises:
        HydraException: the configuration can't be composed.
        ValueError: it can, but not run.
    """
    parsed = parse_arguments(arguments)
    if not parsed.run and any(
        (parsed.cfg, parsed.info, parsed.hydra_help, parsed.shell_completion)
    ):
        return
    jobs = [parsed.overrides]
    if parsed.multirun:
        jobs = grid_jobs(parsed.overrides)
    for overrides in jobs:
        config = compose(overrides, config_dir=parsed.config_dir)
        training_module().prepare(config)
