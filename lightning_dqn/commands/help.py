"""``--help``: every key with its value and the comment that explains it in the YAML files."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from omegaconf import DictConfig

from lightning_dqn.runs.compose import Composer, chosen_options, without_hydra
from lightning_dqn.runs.keys import explain_key, explain_keys, leaves
from lightning_dqn.runs.mistakes import exit_on_mistake

HEADER = """\
Deep Q-learning under pytorch_lightning's Trainer.fit.

  python -m lightning_dqn +experiment=cartpole                    an experiment
  python -m lightning_dqn environment.id=Acrobot-v1 data.batch_size=64     your own values
  python -m lightning_dqn +experiment=cartpole algorithm=rainbow  another algorithm
  python -m lightning_dqn -m +experiment=cartpole seed=0,1,2      a sweep
  python -m lightning_dqn +experiment=cartpole sweep=optuna_cartpole   a search by Optuna
  python -m lightning_dqn doctor +experiment=cartpole             check a run before it begins
  python -m lightning_dqn study +experiment=cartpole seeds=5      several seeds, summed up
  python -m lightning_dqn suite atari100k algorithm=atari/der     the games of a benchmark
  python -m lightning_dqn resume runs/cartpole/<time>             continue a run
  python -m lightning_dqn evaluate runs/cartpole/<time>           play test episodes
  python -m lightning_dqn watch runs/cartpole/<time>              look at the agent
  python -m lightning_dqn record runs/cartpole/<time> output=videos/   record videos of it
  python -m lightning_dqn report runs/cartpole                    all runs in a folder, as a page
  python -m lightning_dqn dashboard project=<project>             a W&B workspace for runs
  python -m lightning_dqn export, import, play ... --help         export or import weights, play

Your own experiments are ./conf/experiment/<name>.yaml, or in a folder given by --config-dir.
Flags: -m sweep, --cfg job print the configuration, --config-dir <folder>, --hydra-help all flags.
"""


def print_help(overrides: list[str]) -> None:
    """Print the choices and every key; the values reflect ``overrides``."""
    with Composer(overrides) as composer, exit_on_mistake(composer.explain):
        config, groups = composer.config(), composer.groups()
    try:
        print(help_text(config, groups), flush=True)
    except BrokenPipeError:  # a pager that was left, or `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def help_text(config: DictConfig, groups: Mapping[str, Sequence[str]]) -> str:
    """Return the choices and every key of ``config`` with its explanation."""
    lines = [HEADER, "Choices (group=option, or +group=option for a group that isn't set yet)"]
    longest = max(map(len, groups))
    for group, options in sorted(groups.items()):
        lines.append(f"  {group:<{longest}} {', '.join(sorted(options))}")
    lines.append("\nKeys (key=value)")
    explanations = explain_keys(chosen_options(config))
    width = 44
    for key, value in leaves(without_hydra(config)):
        text = f"{key}={value}"
        lines.append(f"  {text:<{width}} {explain_key(key, explanations)}".rstrip())
    return "\n".join(lines)
