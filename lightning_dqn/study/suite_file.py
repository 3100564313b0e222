"""Suites by their names: ``suite/<name>.yaml`` among the shipped configuration or one's own."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.hydra_files import CONFIG_MODULE
from lightning_dqn.runs.hydra_flags import parse_arguments
from lightning_dqn.runs.keys import SUITES
from lightning_dqn.runs.mistakes import near, tell
from lightning_dqn.study.suite import Suite
from lightning_dqn.system.faults import first_line

_SHIPPED = Path(str(files(CONFIG_MODULE)))


def find_suite(name: str, arguments: Sequence[str] = ()) -> Suite:
    """Return a suite that is looked for in ``--config-dir``, ``./conf`` and what is shipped.

    Args:
        name: of the suite.
        arguments: of the command line, which may name a folder of the user's own.

    Raises:
        ConfigError: there is none, or its file is wrong.
    """
    found = _files(arguments)
    if name not in found:
        hint = near(name, list(found))
        raise ConfigError(
            f"suite={name}: neither a suite nor the folder of one; "
            f"{hint + ' ' if hint else ''}there are {', '.join(sorted(found))}"
        )
    shipped = _SHIPPED / SUITES / f"{name}.yaml"
    if shipped.is_file() and not shipped.samefile(found[name]):
        tell([f"suite {name} is {found[name]}, not the shipped {name}"])
    try:
        saved: Any = yaml.safe_load(found[name].read_text())
        if not isinstance(saved, dict):
            raise ConfigError("expected keys with values")
        return Suite.of({"name": name, **saved})
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{found[name]}: {first_line(error)}") from error


def _files(arguments: Sequence[str]) -> dict[str, Path]:
    """Return the file of every suite by its name; the user's own come before shipped ones."""
    own = parse_arguments(arguments).config_dir
    folders = [_SHIPPED, Path("conf"), *([Path(own)] if own else [])]
    return {path.stem: path for one in folders for path in sorted(one.glob(f"{SUITES}/*.yaml"))}
