"""Runs whose files W&B keeps: a model is fetched, and an evaluation handed in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from lightning_dqn.reporting.wandb_artifacts import MODEL
from lightning_dqn.reporting.wandb_connection import address, api_key, can_connect
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.system.faults import first_line

OF_WANDB = "wandb:"
"""What the name of an artifact begins with where a run is named."""


def fetched(named: str) -> Path:
    """Download a model that a run with ``log_model`` left in W&B, below ``artifacts/``.

    What comes is a file that somebody sent, and is read as such.

    Args:
        named: ``wandb:entity/project/name:version``.

    Returns:
        Its checkpoint, or the folder where it has none of that name.

    Raises:
        ConfigError: it can't be had, or its files wouldn't lie where they should.
    """
    import wandb

    settings = wandb.setup().settings
    key = api_key(settings)
    if not key:
        raise ConfigError(f"run={named}: no API key of W&B's was found; put it in WANDB_API_KEY")
    if not can_connect(address(settings)):
        raise ConfigError(f"run={named}: {settings.base_url} cannot be reached")
    try:
        artifact = wandb.Api(api_key=key, timeout=20).artifact(named.removeprefix(OF_WANDB))
        _check_files(named, artifact.manifest.entries)
        folder = Path(artifact.download())
    except (wandb.Error, OSError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        why = first_line(error)
        raise ConfigError(f"run={named}: {why}; expected wandb:entity/project/name:version") from (
            error
        )
    return folder / MODEL if (folder / MODEL).is_file() else folder


def _check_files(named: str, entries: Mapping[str, Any]) -> None:
    """Refuse an artifact whose files lie outside of it, here or elsewhere."""
    for name, entry in entries.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name:
            raise ConfigError(f"run={named}: {name!r} would lie outside of its folder")
        if entry.ref is not None:
            raise ConfigError(f"run={named}: {name!r} is kept elsewhere, and isn't fetched")
