"""Checkpoints are read with their checksums, and where one is damaged the one before is taken."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import BadZipFile, ZipFile, is_zipfile

import torch
from pytorch_lightning.utilities import rank_zero_warn

from lightning_dqn.safekeeping.format_version import migrated
from lightning_dqn.safekeeping.generations import previous_of
from lightning_dqn.system.faults import DamagedCheckpoint, first_line

_DAMAGES = (
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    KeyError,
    IndexError,
    AttributeError,
    TypeError,
    BadZipFile,
    UnpicklingError,
    zlib.error,
    struct.error,
)
"""What zipfile and torch raise, depending on which byte is wrong."""

NO_DQN = "this checkpoint holds no DQN: it was saved from something else"
READ_ALL = "; where the file can be trusted, pass weights_only as False"


def read_checkpoint(
    path: str | Path,
    *,
    map_location: Any = "cpu",
    weights_only: bool = True,
    remedy: str = READ_ALL,
) -> dict[str, Any]:
    """Read a checkpoint of a local file, every byte of it held against its checksums.

    Where it is damaged and the generation before it is whole, that is taken, with a warning.

    Args:
        path: the file.
        map_location: of the tensors, as torch has it.
        weights_only: refuse all but tensors and plain values; nothing in the file is run.
        remedy: said behind that; empty where nobody can pass it.

    Returns:
        The checkpoint, as one of today's format.

    Raises:
        ValueError: there is no such file, it is damaged, another file, or of a newer format.
    """
    _, checkpoint = find_checkpoint(
        path, map_location=map_location, weights_only=weights_only, remedy=remedy
    )
    return checkpoint


def find_checkpoint(
    path: str | Path,
    *,
    map_location: Any = "cpu",
    weights_only: bool = True,
    remedy: str = READ_ALL,
) -> tuple[Path, dict[str, Any]]:
    """Read a checkpoint as :func:`read_checkpoint` does, and return which file it came from too."""
    path = Path(path)
    before = previous_of(path)
    if not path.exists() and not before.exists():
        raise ValueError(f"{path}: there is no such file")
    try:
        checkpoint = _read(path, map_location, weights_only, remedy)
    except DamagedCheckpoint as damage:
        try:
            checkpoint = _read(before, map_location, weights_only, remedy)
        except DamagedCheckpoint:
            raise damage from damage.__cause__
        rank_zero_warn(f"{damage}; the one before it, {before.name}, is taken")
        return before, migrated(checkpoint, before)
    return path, migrated(checkpoint, path)


def is_whole(path: Path) -> bool:
    """Say whether every byte of a file that torch wrote is as its checksums have it."""
    try:
        _verify(path)
    except DamagedCheckpoint:
        return False
    return is_zipfile(path)


def _read(path: Path, map_location: Any, weights_only: bool, remedy: str) -> dict[str, Any]:
    _verify(path)
    try:
        checkpoint = torch.load(path, map_location=map_location, weights_only=weights_only)
    except UnpicklingError as error:
        what = UnpicklingError(
            f"it holds more than tensors and plain values, as a callback's NumPy number{remedy}"
        )
        raise _damaged(path, what) from error
    except _DAMAGES as error:
        raise _damaged(path, error) from error
    if not isinstance(checkpoint, dict):
        raise DamagedCheckpoint(f"{path}: no readable checkpoint, it holds no mapping")
    return checkpoint


def _verify(path: Path) -> None:
    """Refuse a file with a wrong checksum, which torch would load without a word.

    What is no archive, as a file without its end or one of an old torch, is left to torch.
    """
    try:
        if not is_zipfile(path):
            return
        with ZipFile(path) as archive:
            entry = archive.testzip()
    except _DAMAGES as error:
        raise _damaged(path, error) from error
    if entry is not None:
        raise DamagedCheckpoint(
            f"{path}: no readable checkpoint, it is damaged: {entry} differs from its checksum"
        )


def _damaged(path: Path, error: BaseException) -> DamagedCheckpoint:
    reason = first_line(error)
    return DamagedCheckpoint(
        f"{path}: no readable checkpoint, it is damaged or another file ({reason})"
    )
