"""``lightning-dqn [command] ...``: which command it is; training where none is named."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Sequence

from lightning_dqn.system.processes import follow_parent

# All else is imported where an interruption is told in a line.

COMMANDS = {
    "train": "train",
    "dashboard": "dashboard",
    "doctor": "doctor",
    "evaluate": "evaluate",
    "export": "export",
    "import": "import_weights",
    "play": "play",
    "record": "record",
    "report": "report",
    "resume": "resume",
    "study": "study",
    "suite": "suite",
    "watch": "watch",
}
"""Name of a command -> the module beside this one with its function ``main``."""

_WITH_CONFIGURATION = ("train", "doctor", "import", "resume", "study", "suite")
"""Commands that take all keys of the configuration."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line.

    What hears a signal itself, as a run that learns, ends by it in its own way.

    Args:
        arguments: None: the process's.
    """
    try:
        _main(arguments)
    except KeyboardInterrupt:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        print("\nlightning-dqn: stopped by SIGINT", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)


def _main(arguments: Sequence[str] | None) -> None:
    from lightning_dqn.former_names import FORMER_COMMANDS
    from lightning_dqn.runs.mistakes import USAGE_ERROR, near

    follow_parent(os.environ)
    if os.getcwd() not in sys.path:  # as ``python -m`` has it; last, to hide nothing
        sys.path.append(os.getcwd())
    first, *rest = arguments = list(sys.argv[1:] if arguments is None else arguments) or [""]
    command = FORMER_COMMANDS.get(first, first)
    if first == "--version":
        return _print_version()
    if first in ("-sc", "--shell-completion") and rest[:1] and rest[0].startswith("query="):
        from lightning_dqn.commands.completion import prepare_query

        if not prepare_query(COMMANDS, _WITH_CONFIGURATION):
            return None
    if command in COMMANDS:
        return _run(command, rest)
    if first and first[0] not in "-+~" and "=" not in first:
        hint = near(first, list(COMMANDS)) or f"there are {', '.join(COMMANDS)}"
        print(f"lightning-dqn: {first}: no such command; {hint}", file=sys.stderr)
        sys.exit(USAGE_ERROR)
    _run("train", [argument for argument in arguments if argument])


def _run(command: str, arguments: Sequence[str]) -> None:
    if command in _WITH_CONFIGURATION and any(argument.startswith("--") for argument in arguments):
        from lightning_dqn.runs.dashes import without_dashes
        from lightning_dqn.runs.hydra_flags import flags

        arguments = without_dashes(arguments, flags())
    importlib.import_module(f"lightning_dqn.commands.{COMMANDS[command]}").main(arguments)


def _print_version() -> None:
    import lightning_dqn

    print(f"lightning-dqn {lightning_dqn.__version__}")
