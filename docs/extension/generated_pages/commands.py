"""Every command with its options, made of what its `--help` prints."""

from __future__ import annotations

import importlib
from dataclasses import is_dataclass
from typing import Any

from lightning_dqn.commands.command import usage
from lightning_dqn.commands.main import COMMANDS


def commands() -> str:
    """Return a section for each command but `train`, whose keys are the configuration's."""
    sections = (
        f"### `{name}`\n\n```text\n{usage(options_of(name))}\n```"
        for name in COMMANDS
        if name != "train"
    )
    return "\n\n".join(sections)


def options_of(name: str) -> type[Any]:
    """Return the dataclass of a command's options."""
    module = importlib.import_module(f"lightning_dqn.commands.{COMMANDS[name]}")
    own = (one for one in vars(module).values() if isinstance(one, type) and is_dataclass(one))
    [kind] = [one for one in own if one.__module__ == module.__name__]
    return kind
