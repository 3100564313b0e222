"""What a dashboard does where its process is stopped (Ctrl-Z) and goes on."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any


class JobControl:
    """Calls before the process is stopped, and after it goes on; from the main thread alone.

    Args:
        before_stop: puts the terminal back.
        after_stop: is called where the process goes on, also after a stop that nobody hears.
    """

    def __init__(self, before_stop: Callable[[], None], after_stop: Callable[[], None]) -> None:
        self._before_stop, self._after_stop = before_stop, after_stop
        self._before: dict[int, Any] = {}

    def start(self) -> None:
        """Hear the signals from now on, those that are nobody's by now."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number, hear in ((signal.SIGTSTP, self._stop), (signal.SIGCONT, self._go_on)):
            if signal.getsignal(number) == signal.SIG_DFL:
                self._before[number] = signal.signal(number, hear)

    def stop(self) -> None:
        """Leave them to whom they were before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._before_stop()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._after_stop()

    def _go_on(self, number: int, frame: FrameType | None) -> None:
        self._after_stop()
