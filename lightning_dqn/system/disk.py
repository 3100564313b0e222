"""Room for a file on its disk, taken before it is mapped.

A process that writes to a mapped file and finds the disk full is ended by SIGBUS, hours later.
"""

from __future__ import annotations

import errno
import os
import shutil

from lightning_dqn.system.memory import format_bytes

_CHUNK_BYTES = 2**24

_NOT_SUPPORTED = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
"""What file systems say that can't reserve room, as that of some network drives."""


def reserve(handle: int, size: int, what: str) -> None:
    """Take ``size`` bytes of zeros on disk for an empty file.

    Where the file system can't reserve them they are written, which takes as long as it takes.

    Args:
        handle: of the file, open for writing.
        size: bytes.
        what: that takes them, for the message.

    Raises:
        ValueError: the disk doesn't have them, with the bytes needed and free.
    """
    if size == 0:
        return
    try:
        if not _allocate(handle, size):
            _write_zeros(handle, size)
    except OSError as error:
        free = shutil.disk_usage(handle).free
        raise ValueError(
            f"{what} takes {format_bytes(size)} more, of which {format_bytes(free)} are free there "
            f"({error.strerror}): lower replay.capacity or choose another directory"
        ) from error


def _allocate(handle: int, size: int) -> bool:
    """Reserve the bytes, and tell whether that can be done here."""
    if not hasattr(os, "posix_fallocate"):  # macOS, Windows
        return False
    try:
        os.posix_fallocate(handle, 0, size)
    except OSError as error:
        if error.errno not in _NOT_SUPPORTED:
            raise
        return False
    return True


def _write_zeros(handle: int, size: int) -> None:
    zeros = bytes(min(size, _CHUNK_BYTES))
    written = 0
    while written < size:
        written += os.write(handle, zeros[: size - written])
