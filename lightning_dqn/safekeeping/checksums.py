"""A file and the JSON beside it that describes it, its checksum included."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from lightning_dqn.system.files import staged, sync_file, sync_folder, write_json

KEY = "sha256"
"""Of a description: name of the file that it describes -> its checksum, in hexadecimal."""


def write_described(
    path: Path, write: Callable[[Path], object], beside: Path, description: Mapping[str, Any]
) -> dict[str, Any]:
    """Write a file and its description; both are whole, and they are exchanged together.

    Args:
        path: the file.
        write: fills the file whose path it is given.
        beside: the description's path.
        description: without the checksum, which is added.

    Returns:
        The description as it was written.
    """
    with staged(path) as temporary:
        write(temporary)
        sync_file(temporary)
        complete = {**description, KEY: {path.name: sha256_of(temporary)}}
        write_json(beside, complete)
        os.replace(temporary, path)
        sync_folder(path.parent)
    return complete


def add_checksums(beside: Path, paths: Iterable[Path]) -> None:
    """Note the checksums of more files in a description, which is there already."""
    description = json.loads(beside.read_text())
    more = {path.name: sha256_of(path) for path in paths}
    write_json(beside, {**description, KEY: {**description[KEY], **more}})


def sha256_of(path: Path) -> str:
    """Return the checksum of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(path: Path, beside: Path) -> None:
    """Hold a file against the checksum in its description, where there is one.

    Args:
        path: the file.
        beside: the description's path; files of before have none, or one without a checksum, and
            it may be that of another file.

    Raises:
        ValueError: the file isn't the one described.
        OSError: it can't be read.
    """
    expected = _checksum_in(beside, path.name)
    if expected is not None and sha256_of(path) != expected:
        raise ValueError(
            f"{path}: differs from its checksum in {beside.name}: it is damaged, or was exchanged "
            "without it; take both files from where they are whole"
        )


def _checksum_in(beside: Path, name: str) -> str | None:
    try:
        description = json.loads(beside.read_text())
    except (OSError, ValueError):
        return None  # whoever needs the description says what is wrong with it
    found = description.get(KEY) if isinstance(description, dict) else None
    return found.get(name) if isinstance(found, dict) else None
