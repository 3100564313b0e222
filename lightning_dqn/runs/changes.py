"""What the code that runs differs in from its commit."""

from __future__ import annotations

import logging
import subprocess

from lightning_dqn.runs.provenance import clone
from lightning_dqn.runs.secrets import holds_a_secret

CHANGES = "code.patch"
"""Name of a file with them, for ``git apply``."""

_LARGEST = 1_000_000  # characters

_logger = logging.getLogger(__name__)


def changes() -> str:
    """Return what tracked files differ in from the commit that a run's provenance names.

    Returns:
        Empty where nothing was changed, or where it isn't told, which is said: the changes are
        larger than a megabyte, or something in them looks like a key.
    """
    patch = _changes()
    is_large = len(patch) > _LARGEST
    if is_large or holds_a_secret(patch):
        why = "they are larger than 1 MB" if is_large else "something in them looks like a key"
        _logger.warning("W&B gets no %s, the changes of the code: %s", CHANGES, why)
        return ""
    return patch


def _changes() -> str:
    place = clone()
    if place is None:
        return ""
    # No program of the user's that may show differences otherwise, and files of bytes whole.
    options = ("diff", "HEAD", "--no-ext-diff", "--no-textconv", "--no-color", "--binary")
    command = ["git", "--no-optional-locks", "-C", str(place), *options]
    try:
        return subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""
