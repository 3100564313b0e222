"""Hydra's own flags on a command line, parted from what sets values."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import NoReturn

from hydra._internal.utils import get_args_parser

from lightning_dqn.runs.build import ConfigError


def parse_arguments(arguments: Sequence[str]) -> Namespace:
    """Part Hydra's flags from overrides.

    Raises:
        ConfigError: a flag doesn't exist or lacks its value.
    """
    parser: ArgumentParser = get_args_parser()

    def refuse(message: str) -> NoReturn:
        raise ConfigError(f"{message}; --hydra-help lists the flags")

    parser.error = refuse  # type: ignore[method-assign]
    return parser.parse_intermixed_args(list(arguments))


def flags() -> set[str]:
    """Return Hydra's flags, as they are typed."""
    parser: ArgumentParser = get_args_parser()
    return set(parser._option_string_actions)


def in_one_word(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with ``--config-dir=x`` for ``--config-dir x`` and ``-cd x``.

    So with each flag that takes a value: by itself it can be told from an override then.
    """
    options = get_args_parser()._option_string_actions
    found: list[str] = []
    words = list(arguments)
    while words:
        word = words.pop(0)
        flag, equals, value = word.partition("=")
        takes_value = flag in options and options[flag].nargs in (None, "?")
        if takes_value and not equals and words and not words[0].startswith("-"):
            equals, value = "=", words.pop(0)
        name = options[flag].option_strings[0] if takes_value else flag
        found.append(f"{name}{equals}{value}")
    return found


def check_flags(flags: Namespace) -> None:
    """Refuse flags that can't go together, as Hydra does."""
    if flags.resolve and flags.cfg is None:
        raise ConfigError("--resolve: goes with --cfg")
    asked = {
        "--run": flags.run,
        "--multirun": flags.multirun,
        "--cfg": flags.cfg,
        "--info": flags.info,
        "--shell-completion": flags.shell_completion,
    }
    several = [name for name, value in asked.items() if value]
    if len(several) > 1:
        raise ConfigError(f"{' '.join(several)}: only one of them at once")
