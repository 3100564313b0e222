"""``--help``: every key with its value and the comment that explains it in the YAML files."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf

HEADER = """\
Deep Q-learning under pytorch_lightning's Trainer.fit.

  python -m lightning_dqn +experiment=cartpole                    one experiment, as stated
  python -m lightning_dqn environment.id=Acrobot-v1 data.batch_size=64     keys of your own
  python -m lightning_dqn +experiment=cartpole module=rainbow     another algorithm
  python -m lightning_dqn -m +experiment=cartpole seed=0,1,2      a sweep
  python -m lightning_dqn.study +experiment=cartpole seeds=5      several seeds, summed up
  python -m lightning_dqn resume=runs/cartpole/<time>             continue a run
  python -m lightning_dqn.evaluate run=runs/cartpole/<time>       play test episodes

An experiment of your own is ./conf/experiment/<name>.yaml, or lies in --config-dir <folder>.
Flags: -m sweep, --cfg job print the configuration, --config-dir <folder>, --hydra-help all flags.
"""


def print_help(overrides: list[str]) -> None:
    """Print what can be chosen and every key; ``overrides`` show in the values."""
    from lightning_dqn.command_line import compose

    config = compose([o for o in overrides if not o.startswith("-")])
    try:
        print(help_text(config), flush=True)
    except BrokenPipeError:  # a pager that was left, or `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def help_text(config: DictConfig) -> str:
    """Return what can be chosen and every key of ``config`` with its explanation."""
    lines = [HEADER, "Choices (group=option; what is not there yet with a plus: +group=option)"]
    longest = max(map(len, choices()))
    for group, options in sorted(choices().items()):
        lines.append(f"  {group:<{longest}} {', '.join(sorted(options))}")
    lines.append("\nKeys (key=value)")
    explanations = explain_keys()
    width = 44
    for key, value in leaves(config):
        text = f"{key}={value}"
        lines.append(f"  {text:<{width}} {explain_key(key, explanations)}".rstrip())
    return "\n".join(lines)


def explain_key(key: str, explanations: Mapping[str, str]) -> str:
    """Return what a key means; of one that has no word of its own, what it is a part of."""
    while key and key not in explanations:
        key = key.rpartition(".")[0]
    return explanations.get(key, "")


def choices() -> dict[str, list[str]]:
    """Return the shipped options of every group."""
    found: dict[str, list[str]] = {}
    for group, name, _ in _config_files():
        if group:
            found.setdefault(group, []).append(name)
    return found


def explain_keys() -> dict[str, str]:
    """Return the comment behind every key of the shipped files, by its full path."""
    explanations: dict[str, str] = {}
    for group, _, text in _config_files():
        lines = text.splitlines()
        root = yaml.compose(text)
        prefix = group.replace("/", ".")
        if group == "experiment" or root is None:
            continue
        for path, line in _key_lines(root, (prefix,) if prefix else ()):
            _, mark, comment = lines[line].partition("  # ")
            if mark:
                explanations.setdefault(".".join(path), comment.strip())
    return explanations


def leaves(config: DictConfig, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the keys that hold values, with the values as one would type them."""
    values: Any = OmegaConf.to_container(config, resolve=False)
    for name in values:
        key = f"{prefix}{name}"
        value = values[name]
        is_empty_choice = value == {} and key.replace(".", "/") in choices()
        if str(name).startswith("_") or key == "run_dir" or is_empty_choice:
            continue
        if isinstance(value, dict) and value:
            yield from leaves(config[name], f"{key}.")
        else:
            yield key, "null" if value is None else _typed(value)


def _typed(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | ListConfig):
        return "[" + ",".join(map(str, value)) + "]"
    return str(value)


def _key_lines(node: yaml.Node, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int]]:
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        inner = (*path, key.value)
        yield inner, key.start_mark.line
        yield from _key_lines(value, inner)


def _config_files(
    folder: Traversable | None = None, group: str = ""
) -> Iterator[tuple[str, str, str]]:
    """Yield group, option and text of every shipped YAML file."""
    folder = folder or files("lightning_dqn.conf")
    for entry in sorted(folder.iterdir(), key=lambda e: e.name):
        if entry.is_dir() and not entry.name.startswith("_"):
            inner = f"{group}/{entry.name}" if group else entry.name
            yield from _config_files(entry, inner)
        elif entry.name.endswith(".yaml"):
            yield group, entry.name.removesuffix(".yaml"), entry.read_text()
