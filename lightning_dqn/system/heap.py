"""Memory that is freed is kept for the next one who asks, instead of being handed back at once.

An update on frames asks for the same few megabytes again and again, as floats of a minibatch. The
C library hands blocks of that size back to the system when they are freed, which then clears each
page anew: a fifth of an update of a small network on frames.
"""

from __future__ import annotations

import ctypes
import os
import sys

LARGEST_BLOCK = 32 * 2**20
"""Bytes of a block that is kept: the most that glibc lets be asked for."""
MOST_KEPT = 256 * 2**20
"""Free bytes at the heap's end beyond which memory is handed back."""

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # of mallopt(3)
_USERS = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES", "LD_PRELOAD")


def keep_freed_memory() -> bool:
    """Keep freed blocks for the rest of the process; tell whether that was done.

    Without effect where the C library isn't glibc, and where the user has set how memory is
    handed out, by glibc's own variables or by another allocator that is loaded first.
    """
    if not sys.platform.startswith("linux") or any(os.environ.get(name) for name in _USERS):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    settings = ((_MMAP_THRESHOLD, LARGEST_BLOCK), (_TRIM_THRESHOLD, MOST_KEPT))
    return all(mallopt(which, value) == 1 for which, value in settings)
