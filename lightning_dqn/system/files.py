"""Files that are never half there."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

SUMMARY = "summary.json"
"""What a run came to, in its folder; written last."""


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` make a file beside ``path``, then put it in its place in one step."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON; what JSON doesn't know is written as its text."""
    text = json.dumps(value, indent=2, default=str) + "\n"
    write_whole(path, lambda temporary: temporary.write_text(text))
