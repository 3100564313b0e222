"""The thread that draws a dashboard and reads its keys, beside the one that trains."""

from __future__ import annotations

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

from lightning_dqn.live.capture import Capture
from lightning_dqn.live.choice import Choice, Request, press
from lightning_dqn.live.guard import Guard, modes_of
from lightning_dqn.live.job_control import JobControl
from lightning_dqn.live.keys import Keys
from lightning_dqn.live.pace import LEAST_SECONDS, PERIOD_SECONDS, FramePace
from lightning_dqn.live.screen import LEAST, draw
from lightning_dqn.live.state import State
from lightning_dqn.live.terminal import Terminal

MESSAGE_SECONDS = 5.0
"""How long it is shown what a key came to."""


class Desk:
    """Has the terminal to itself from :meth:`open` to :meth:`close`.

    The training thread writes into ``state`` holding ``lock``, and takes ``requests`` where it may
    act on them. It never waits for the terminal, however slow that is.

    Args:
        state: of the run.
        look: brings it up to date before each frame; called in the thread that draws.
        end: is called there with the requests that end a run.
        colour: draw in colours.

    Attributes:
        lock: held while a frame is drawn.
        requests: what keys asked for, oldest first.
        wants_glance: a frame was drawn, so that a new look at the environment will be seen.
        failure: why drawing has ended; None: it hasn't.
    """

    def __init__(
        self,
        state: State,
        *,
        look: Callable[[], None],
        end: Callable[[Request], None],
        colour: bool,
    ) -> None:
        self.state = state
        self.lock = threading.RLock()
        self.requests: deque[Request] = deque()
        self.wants_glance = True
        self.failure: Exception | None = None
        self._look, self._end, self._colour = look, end, colour
        self._choice = Choice()
        self._keys = Keys()
        self._size = LEAST
        self._said = 0.0
        self._pace = FramePace()
        self._is_asked = True  # for a frame, by a key or by what a key came to
        self._closing = threading.Event()
        self._is_entered = threading.Event()
        self._terminal_lock = threading.RLock()  # a signal's handler may come in its midst
        self._job_control = JobControl(self._suspend, self._resume)

    def open(self) -> None:
        """Take the terminal.

        Raises:
            OSError: it can't be taken.
        """
        path, modes = os.ttyname(1), modes_of(1)
        with ExitStack() as taken:
            self._terminal = Terminal(path)
            taken.callback(self._terminal.close)
            self._capture = Capture()
            taken.callback(self._capture.stop)
            self._terminal.enter()
            self._guard = Guard(path, modes or "sane", self._capture.file_descriptor)
            taken.pop_all()
        self._waking = os.pipe()
        self._capture.start()
        self._is_entered.set()
        self._job_control.start()
        self._thread = threading.Thread(target=self._run, name="dashboard", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Give the terminal back as it was, and print what was printed meanwhile."""
        self._closing.set()
        os.write(self._waking[1], b".")
        self._thread.join()
        self._job_control.stop()
        self._terminal.close()
        self._capture.stop()
        self._guard.dismiss()
        for number in self._waking:
            os.close(number)

    def say(self, message: str) -> None:
        """Show what the last key came to, for a while."""
        with self.lock:
            self.state.message = message
            self._said = time.monotonic()
        self._is_asked = True

    @property
    def compares_seeds(self) -> bool:
        """Whether a plot of other seeds is shown."""
        return self._choice.plot == "seeds"

    @property
    def width(self) -> int:
        """Columns of the terminal when it was last drawn on."""
        return self._size[0]

    def _run(self) -> None:
        try:
            self._draw_and_hear()
        except Exception as error:  # training goes on without a dashboard
            self.failure = error
            self._terminal.leave()

    def _draw_and_hear(self) -> None:
        while not self._closing.is_set():
            if not self._is_in_front():
                self._closing.wait(PERIOD_SECONDS / 2)
                continue
            has_waited = self._wait(LEAST_SECONDS if self._is_asked else PERIOD_SECONDS)
            if not self._is_in_front():
                continue
            typed = self._terminal.read()
            if typed or has_waited:
                for key in self._keys.feed(typed):
                    self._press(key)
                    self._is_asked = True
            if self._pace.is_due(is_asked=self._is_asked) and self._terminal.is_ready:
                self._is_asked = False
                with self._pace.frame():
                    self._draw()

    def _is_in_front(self) -> bool:
        """Tell whether the terminal is ours; take it anew where it has come back."""
        with self._terminal_lock:
            if self._is_entered.is_set():
                return self._terminal.is_ours
            if not self._terminal.may_enter:
                return False
            self._terminal.enter()
            self._is_entered.set()
            return True

    def _wait(self, seconds: float) -> bool:
        """Wait for a key, or for the terminal where it is slow; tell whether none of it came."""
        slow = [] if self._terminal.is_ready else [self._terminal]
        with suppress(OSError):
            heard: list[Any] = [self._terminal, self._waking[0]]
            ready, writable, _ = select.select(heard, slow, [], seconds)
            if writable:
                self._terminal.flush()
            return not ready and not writable
        self._closing.wait(seconds)
        return True

    def _press(self, key: str) -> None:
        if key == "redraw":
            self._terminal.forget()
        with self.lock:
            names, tunable = self.state.history.names(), list(self.state.tunable)
            self.state.message = ""
        self._choice, request = press(self._choice, key, names, tunable)
        if request is None:
            return
        if request.what in ("stop", "stop now"):
            self._end(request)
        else:
            self.requests.append(request)

    def _draw(self) -> None:
        self._look()
        width, height = self._size = self._terminal.size()
        with self.lock:
            if time.monotonic() - self._said > MESSAGE_SECONDS:
                self.state.message = ""
            self.state.log = self._capture.newest_lines()
            lines = draw(self.state, self._choice, width, height, colour=self._colour)
        with self._terminal_lock:
            if self._is_entered.is_set():
                self._terminal.show(lines)
        self.wants_glance = True

    def _suspend(self) -> None:
        with self._terminal_lock:
            self._is_entered.clear()
            self._terminal.leave()

    def _resume(self) -> None:
        """Have the terminal taken anew as soon as it is ours."""
        self._is_entered.clear()
