"""Processes that don't outlive the one that started them."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import MutableMapping

_PR_SET_PDEATHSIG = 1

PARENT = "LIGHTNING_DQN_PARENT"
"""Variable by which a process tells one that it starts to end, by SIGTERM, when it does."""


def hear_of_parents_end(number: int = signal.SIGKILL) -> None:
    """Let the system send this process a signal when its parent ends, however that ends.

    On Linux alone. It comes when the thread that started this process ends.

    Args:
        number: of the signal.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)


def follow_parent(environment: MutableMapping[str, str]) -> None:
    """Do as :data:`PARENT` asks, if it is set; processes started from here aren't asked.

    Args:
        environment: of this process.
    """
    parent = environment.pop(PARENT, None)
    if parent is None:
        return
    hear_of_parents_end(signal.SIGTERM)
    if parent != str(os.getppid()):  # it ended just before
        sys.exit(128 + signal.SIGTERM)
