"""Processes that don't outlive the one that started them."""

from __future__ import annotations

import ctypes
import signal
import sys

_PR_SET_PDEATHSIG = 1


def hear_of_parents_end(number: int = signal.SIGKILL) -> None:
    """Let the system send this process a signal when its parent ends, however that ends.

    On Linux alone. It comes when the thread that started this process ends.

    Args:
        number: of the signal.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
