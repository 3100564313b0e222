"""One run to a folder: a second one in it, or over a finished one, is refused."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from lightning_dqn.system.files import SUMMARY

LOCK = ".lock"
"""In a run's folder; who holds it has its process id in it. It stays there unheld."""


class FolderInUse(ValueError):
    """Another process works in a folder, or a run was finished there."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder for a run; however the process ends, the system gives it free.

    Args:
        folder: of the run; made if it doesn't exist.

    Raises:
        FolderInUse: naming the process that holds it; nothing was written there.
        ValueError: it can't be written.
    """
    path = folder / LOCK
    lock = FileLock(path, blocking=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise FolderInUse(
            f"{folder}: {_holder(path)} works in this folder; wait for its end, or choose another "
            "folder"
        ) from error
    except OSError as error:
        raise ValueError(
            f"{folder}: can't be written ({error.strerror or error}); choose another folder"
        ) from error
    try:
        with suppress(OSError):  # it is for the telling alone
            path.write_text(f"{os.getpid()}\n")
        yield
    finally:
        lock.release()


def refuse_used(folder: Path, *, is_continued: bool) -> None:
    """Refuse a folder for a run before anything is written there.

    Args:
        folder: of a run that is about to begin.
        is_continued: it goes on with the run that is there.

    Raises:
        FolderInUse: another process works there, or a run was finished that isn't continued.
    """
    if not folder.is_dir():
        return
    with locked(folder):
        if not is_continued:
            refuse_finished(folder)


def refuse_finished(folder: Path) -> None:
    """Refuse a folder in which a run was finished.

    Raises:
        FolderInUse: saying what to do instead.
    """
    if (folder / SUMMARY).exists():
        raise FolderInUse(
            f"{folder}: holds {SUMMARY} of a finished run, which a new one would overwrite; choose "
            f"another folder, or continue that run: {resume_command(folder)}"
        )


def resume_command(folder: str | Path) -> str:
    """Return the command that continues what a folder holds, whatever its name."""
    return f"python -m lightning_dqn resume {shlex.quote(str(folder))}"


def _holder(path: Path) -> str:
    try:
        return f"process {int(path.read_text())}"
    except (OSError, ValueError):
        return "another process"  # which has just begun
