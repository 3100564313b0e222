"""What runs and sweeps note in their folders as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning_dqn.runs.build import ConfigError


@contextmanager
def read_json(path: Path, what: str, remedy: str = "") -> Iterator[Any]:
    """Yield what a JSON file holds, to be taken apart in the block.

    Args:
        path: the file.
        what: it should hold, as ``"the summary of a run"``.
        remedy: what to do about a damaged one.

    Raises:
        ConfigError: it can't be read, or something that the block looks for isn't in it.
    """
    try:
        yield json.loads(path.read_text())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        told = f"{path}: not {what} ({error!r})"
        raise ConfigError(f"{told}; {remedy}" if remedy else told) from error


def mapping_in(path: Path) -> dict[str, Any]:
    """Return the mapping that a JSON file holds; nothing where it isn't there, or holds none."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
