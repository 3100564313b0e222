"""Commands of a few keys, as evaluating, exporting and playing: their help, keys and errors."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lightning_dqn.runs.build import ConfigError

USAGE_ERROR = 2


def run_command(arguments: Sequence[str], usage: str, act: Callable[[Sequence[str]], None]) -> None:
    """Run a command; tell a mistake in one line and exit with 2.

    Args:
        arguments: of the command.
        usage: printed where there are no arguments, or help is asked for.
        act: takes the arguments; what it raises as a ValueError is the user's mistake.
    """
    if not arguments or "--help" in arguments or "-h" in arguments:
        print(usage)
        return
    try:
        act(arguments)
    except ValueError as error:
        print(f"lightning-dqn: {error}", file=sys.stderr)
        sys.exit(USAGE_ERROR)


def read_options(arguments: Sequence[str], defaults: Mapping[str, Any]) -> DictConfig:
    """Return the keys of a command, those that ``arguments`` set as ``key=value`` and the others.

    Raises:
        ConfigError: a key doesn't exist, or a value can't be read.
    """
    try:
        given: Any = OmegaConf.from_cli(list(arguments))
        unknown = sorted(set(map(str, given)) - set(defaults))
        if unknown:
            raise ConfigError(f"{unknown[0]}: no such key; there are {', '.join(defaults)}")
        options = OmegaConf.merge(defaults, given)
    except (OmegaConfBaseException, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"{' '.join(arguments)}: can't be read ({reason})") from error
    assert isinstance(options, DictConfig)
    return options
