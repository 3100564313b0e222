"""The two generations of a checkpoint: where they lie, and whether there is one."""

from __future__ import annotations

from pathlib import Path

LAST = "last.ckpt"
"""From which a run goes on, among its checkpoints."""


def previous_of(path: Path) -> Path:
    """Return where the generation before a checkpoint lies, ``last.previous.ckpt`` as it were."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def is_kept(path: Path) -> bool:
    """Tell whether a checkpoint can be read: its file is there, or the generation before it."""
    return path.is_file() or (path.name != "" and previous_of(path).is_file())
