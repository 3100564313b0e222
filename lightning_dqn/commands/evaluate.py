"""``python -m lightning_dqn evaluate run=<run folder>``: play episodes with a trained policy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from omegaconf import DictConfig

from lightning_dqn.commands.command import read_options, run_command
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.evaluate import evaluate

USAGE = """\
Play test episodes with the policy of a finished run.

  python -m lightning_dqn evaluate run=<run folder> [key=value ...]

  run                the folder that training named at its end
  checkpoint=null    a checkpoint file; null: the run's module.safetensors, of its best checkpoint
  num_envs=10        environments stepped at once
  episodes_per_env=10  episodes of each of them
  epsilon=0.0        probability of a random action
  seed=null          of the episodes; null: those of the run's own test
  max_episode_steps=auto  env steps after which an episode is cut; auto: 10,000 without a limit
"""

DEFAULTS = {
    "run": None,
    "checkpoint": None,
    "num_envs": 10,
    "episodes_per_env": 10,
    "epsilon": 0.0,
    "seed": None,
    "max_episode_steps": "auto",
}


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    run_command(arguments, USAGE, _run)


def _run(arguments: Sequence[str]) -> None:
    returns = evaluate(_options(arguments))
    print(
        f"return {returns.mean():.1f} ± {returns.std():.1f} over {len(returns)} episodes "
        f"(min {returns.min():.1f}, median {np.median(returns):.1f}, max {returns.max():.1f})"
    )


def _options(arguments: Sequence[str]) -> DictConfig:
    options = read_options(arguments, DEFAULTS)
    if options.run is None:
        raise ConfigError("run=null: name the folder of a run, as run=runs/cartpole/<time>")
    return options
