"""Which format a checkpoint has, and how an older one becomes today's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

KEY = "format_version"
"""Of a checkpoint; one without it is of version 1."""

FORMAT_VERSION = 2
"""Of what is written now. It rises when what a key holds changes its meaning, and brings along a
migration from the version before and a stored checkpoint of it that a test loads."""


def _without_rows(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Version 1 held neither ring nor open episodes: a run goes on with new ones."""
    for state in checkpoint.values():
        if isinstance(state, dict) and {"collector", "replay"} <= state.keys():
            state["collector"].setdefault("actor", None)
    if "dqn" in checkpoint:
        checkpoint["dqn"].setdefault("continuation", None)
    return checkpoint


MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _without_rows}
"""Version -> what makes a checkpoint of the next version from one of it."""


def stamped(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Return the checkpoint with the version of today; the one given stays as it is."""
    return {**checkpoint, KEY: FORMAT_VERSION}


def migrated(checkpoint: dict[str, Any], where: object) -> dict[str, Any]:
    """Return the checkpoint as one of today's version.

    Args:
        checkpoint: of any version until today's.
        where: it lies, for the error.

    Raises:
        ValueError: it is newer than this program, or its version is no whole number.
    """
    version = checkpoint.get(KEY, 1)
    if not isinstance(version, int) or version < 1:
        raise ValueError(f"{where}: {KEY}={version!r} is no version of a checkpoint")
    if version > FORMAT_VERSION:
        raise ValueError(
            f"{where}: a checkpoint of format {version}, and this version of lightning-dqn reads "
            f"formats until {FORMAT_VERSION}: upgrade lightning-dqn"
        )
    for number in range(version, FORMAT_VERSION):
        checkpoint = MIGRATIONS[number](checkpoint)
    return stamped(checkpoint)
