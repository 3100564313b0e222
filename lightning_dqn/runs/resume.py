"""``resume=<run folder>``: the arguments of a finished or interrupted run, to go on with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.trust import NOTHING, Trust, check_overrides

CONFIGURATION = Path(".hydra", "config.yaml")
"""Of a run, in its folder; beside it ``overrides.yaml`` and ``hydra.yaml``."""

_OWN = ("ckpt_path=", "hydra.run.dir=")


def expand_resume(arguments: Sequence[str], trust: Trust = NOTHING) -> list[str]:
    """Replace ``resume=<run folder>`` by what that run was started with, its folder and checkpoint.

    Flags stay flags and come first; the run's own overrides come before the others, which win.

    Args:
        arguments: of the command line.
        trust: what the run's overrides may name beside what every run needs.

    Raises:
        ConfigError: the folder isn't one of a run that can be continued, or its overrides name
            what isn't trusted.
    """
    resumes = [a for a in arguments if a.startswith("resume=")]
    if not resumes:
        return list(arguments)
    folder = Path(resumes[-1].removeprefix("resume=").strip("'\""))
    saved, checkpoint = folder / CONFIGURATION.parent, folder / "checkpoints" / "last.ckpt"
    for path in (saved / "overrides.yaml", checkpoint):
        if not path.is_file():
            raise ConfigError(f"resume={folder}: {path} is missing, so it can't be continued")
    own: Any = OmegaConf.to_container(OmegaConf.load(saved / "overrides.yaml"))
    rest = [a for a in arguments if a not in resumes]
    if not isinstance(own, list):
        raise ConfigError(f"{saved / 'overrides.yaml'}: no list of overrides")
    kept = [*_flags(saved / "hydra.yaml", rest), *(o for o in own if not str(o).startswith(_OWN))]
    check_overrides(kept, trust, str(folder))
    return [
        *kept,
        f"ckpt_path={quoted(checkpoint.absolute())}",
        f"hydra.run.dir={quoted(folder.absolute())}",
        *rest,
    ]


def quoted(path: Path) -> str:
    """Return a path as a value of an override, whatever characters it has."""
    # A backslash is itself, unless it stands before a quote.
    text = re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + (r"\'" if m[2] else ""), str(path))
    return f"'{text}'"


def _flags(path: Path, given: Sequence[str]) -> list[str]:
    """Return the flags that the run found its configuration by, unless they are given anew."""
    if not path.is_file():
        return []
    hydra: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    try:
        found = {
            "--config-dir": [
                source["path"]
                for source in hydra["hydra"]["runtime"]["config_sources"]
                if source["provider"] == "command-line" and source["schema"] == "file"
            ],
            "--config-name": [hydra["hydra"]["job"]["config_name"]],
        }
    except (KeyError, TypeError) as error:
        raise ConfigError(f"{path}: not what Hydra writes: {error!r}") from error
    return [
        f"{flag}={value}"
        for flag, values in found.items()
        for value in values
        if value not in (None, "config") and not any(a.startswith(flag) for a in given)
    ]
