"""``python -m lightning_dqn [command] ...``: which command it is; training where none is named."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from lightning_dqn.commands.command import USAGE_ERROR

COMMANDS = ("train", "evaluate", "export", "import_weights", "play", "study")
"""Names of commands, each a module beside this one with a function ``main``."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line.

    Args:
        arguments: None: the process's.
    """
    first, *rest = arguments = list(sys.argv[1:] if arguments is None else arguments) or [""]
    if first in COMMANDS:
        return _run(first, rest)
    if first.isidentifier():
        told = f"no such command; there are {', '.join(COMMANDS)}"
        print(f"lightning-dqn: {first}: {told}", file=sys.stderr)
        sys.exit(USAGE_ERROR)
    _run("train", [argument for argument in arguments if argument])


def _run(command: str, arguments: Sequence[str]) -> None:
    importlib.import_module(f"lightning_dqn.commands.{command}").main(arguments)
