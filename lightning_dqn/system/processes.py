"""Processes that don't outlive the one that started them."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import MutableMapping

_PR_SET_PDEATHSIG, _PR_GET_PDEATHSIG = 1, 2

PARENT = "LIGHTNING_DQN_PARENT"
"""Variable by which a process tells one that it starts to end, by SIGTERM, when it does."""

_followed: list[int] = []


def hear_of_parents_end(number: int = signal.SIGKILL) -> None:
    """Let the system send this process a signal when its parent ends, however that ends.

    On Linux alone. It comes when the thread that started this process ends.

    Args:
        number: of the signal.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)


def tell_no_more_of_parents_end(number: int) -> None:
    """Let a signal that has come be the last by which the system tells of a parent's end.

    It tells it once for each thread of the parent.

    Args:
        number: of the signal; where it tells it by another one, all stays as it is.
    """
    if sys.platform == "linux":
        prctl, asked = ctypes.CDLL(None).prctl, ctypes.c_int()
        prctl(_PR_GET_PDEATHSIG, ctypes.byref(asked), 0, 0, 0)
        if asked.value == number:
            prctl(_PR_SET_PDEATHSIG, 0, 0, 0, 0)


def follow_parent(environment: MutableMapping[str, str]) -> None:
    """Do as :data:`PARENT` asks, if it is set; processes started from here aren't asked.

    Args:
        environment: of this process.
    """
    parent = environment.pop(PARENT, None)
    if parent is None:
        return
    hear_of_parents_end(signal.SIGTERM)
    _followed.append(int(parent))
    if parent != str(os.getppid()):  # it ended just before
        sys.exit(128 + signal.SIGTERM)


def follows_parent() -> bool:
    """Tell whether this process is a part of what its parent does, which lives and ends it."""
    return os.getppid() in _followed
