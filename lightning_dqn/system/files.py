"""Files that are never half there, whatever ends the process or the machine."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

if sys.platform != "win32":
    import fcntl

SUMMARY = "summary.json"
"""What a run came to, in its folder; written last."""

FAILURE = "failure.json"
"""Why a run ended early, in its folder; gone when it goes on."""

SWEEP = "sweep.json"
"""What a sweep was asked for, in the folder that its jobs' folders lie in."""

PRUNED = "pruned.json"
"""Where a trial was given up, in its run's folder; gone when it goes on."""

CHANGED_BY_HAND = "changed_by_hand.json"
"""Hyper-parameters that were changed while a run learned, in its folder."""
FINDINGS = "findings.json"
"""What the doctor found in a run, in its folder."""

RECORDING = "recording.json"
"""Which videos are of one recording, beside them; its name begins as theirs do."""

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{16}\.tmp", re.DOTALL)
_CAN_NOT_SYNC = (errno.EINVAL, errno.ENOTSUP)


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` make a file beside ``path``, then put it in its place in one step.

    When this returns, the file is on the disk and not only in the system's memory.

    Args:
        path: the file; what it held stays until the new content is whole.
        write: is given the path of an empty file that is no other writer's, and fills it.
    """
    with staged(path) as temporary:
        write(temporary)
        sync_file(temporary)
        os.replace(temporary, path)
        sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write ``text``; see :func:`write_whole`."""
    write_whole(path, lambda temporary: temporary.write_text(text))


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON; what JSON doesn't know is written as its text."""
    write_text(path, json.dumps(value, indent=2, default=str) + "\n")


@contextmanager
def staged(path: Path) -> Iterator[Path]:
    """Make an empty file beside ``path`` that is removed at the end, unless it was moved.

    Its name is its own, ``.<name>.<random>.tmp``, so that writers of the same file don't meet.
    """
    temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}.tmp")
    handle = _claim(temporary)
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
        os.close(handle)


def is_unused(folder: Path) -> bool:
    """Return whether something new can have a folder: it isn't there, or is empty."""
    return not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))


def check_unused(folder: Path) -> None:
    """Refuse an output in whose place something is.

    Raises:
        ValueError: it is a file, or a folder that isn't empty.
    """
    if not is_unused(folder):
        raise ValueError(f"output={folder}: is there already; name another folder")


@contextmanager
def staged_folder(path: Path) -> Iterator[Path]:
    """Make a folder beside ``path`` that becomes it at the end; after an error nothing is left.

    Args:
        path: of a folder that is unused, see :func:`is_unused`.
    """
    path = Path(os.path.realpath(path))  # a link goes on leading there
    temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}.tmp")
    temporary.mkdir(parents=True)
    try:
        yield temporary
        with suppress(FileNotFoundError):
            path.rmdir()
        os.rename(temporary, path)
        sync_folder(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sweep_temporaries(folder: Path) -> None:
    """Remove what writers left in ``folder`` that were killed; those at work keep theirs."""
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if _TEMPORARY.fullmatch(path.name):
            with suppress(OSError):  # another one sweeps, or it isn't ours to remove
                _remove_unclaimed(path)


def sync_file(path: Path) -> None:
    """Wait until a file's content is on the disk."""
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where the system can tell."""
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _CAN_NOT_SYNC:
            raise
    finally:
        os.close(handle)


def _claim(path: Path) -> int:
    """Make a file and hold a lock on it, which the system takes back when the process dies."""
    while True:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
        if sys.platform == "win32":
            return handle
        with suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink > 0:
            return handle
        os.close(handle)  # swept before the lock was there


def _remove_unclaimed(path: Path) -> None:
    if sys.platform == "win32":
        path.unlink()  # which fails while it is open
        return
    handle = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(handle).st_nlink > 0:  # else another one swept it, and its name may be claimed
            path.unlink()
    finally:
        os.close(handle)
