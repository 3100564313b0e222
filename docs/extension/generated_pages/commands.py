"""Every command with its options, made from what its `--help` prints."""

from __future__ import annotations

import importlib
from typing import Any

from lightning_dqn.commands.command import usage
from lightning_dqn.commands.completion import OPTIONS
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
    kind: type[Any] = getattr(module, OPTIONS[name])
    return kind
