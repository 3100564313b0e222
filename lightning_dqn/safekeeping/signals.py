"""Signals that end a run: heard at once, obeyed where nothing is lost."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from lightning_dqn.system.processes import follows_parent, tell_no_more_of_parents_end

HEARD = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP")
    if hasattr(signal, name)
)
"""Ctrl-C; what schedulers and ``kill`` send; what SLURM is asked to send before time is up; what a
terminal sends that is closed."""

TWICE_SECONDS = 0.2
"""A signal that comes again so soon was sent twice, and asks for no more than once."""


class Stopped(BaseException):
    """A signal ended the run; no error, so that nothing takes it for one.

    Attributes:
        number: of the signal.
        checkpoint: that was saved for this; None: none was to be.
        is_saved: whether it could be written; else what was saved before is as it was.
    """

    def __init__(
        self, number: int, checkpoint: Path | None = None, *, is_saved: bool = True
    ) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number
        self.checkpoint = checkpoint
        self.is_saved = is_saved

    @property
    def exit_status(self) -> int:
        """What shells and schedulers know a signal's end by."""
        return 128 + self.number

    @property
    def is_preemption(self) -> bool:
        """Whether it came by the signal that SLURM is asked to send before time is up."""
        return self.number == getattr(signal, "SIGUSR1", None)


class _Arrivals:
    """Tells a signal that asks for something from the same one sent twice.

    ``timeout`` sends one to its process and to its group, and where a parent is killed, the system
    sends one for each of its threads. A run of a study hears what a scheduler sends to all of a
    job, and then of the study, which itself ends by SIGKILL what is to end at once.
    """

    def __init__(self) -> None:
        self._newest, self._since = 0, -math.inf

    def is_new(self, number: int) -> bool:
        """Tell whether a signal that came now asks for something."""
        tell_no_more_of_parents_end(number)
        now = time.monotonic()
        is_soon = number == self._newest and now - self._since < TWICE_SECONDS
        if is_soon or (self._newest and follows_parent()):
            return False
        self._newest, self._since = number, now
        return True


class Listener:
    """Notes the first signal; the second ends the run where it is, the third the process.

    Attributes:
        number: of the first signal; None: none came.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._since = 0.0
        self._count = 0
        self._arrivals = _Arrivals()
        self._before: dict[int, Any] = {}

    def start(self) -> None:
        """Hear signals from now on, where that can be: in the main thread.

        Those that the process was started to ignore, as by ``nohup``, stay ignored.

        Raises:
            Stopped: a signal came before, and what it interrupted swallowed its exception.
        """
        if self._before or threading.current_thread() is not threading.main_thread():
            return
        heard = [number for number in HEARD if signal.getsignal(number) != signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._hear) for number in heard}
        for before in self._before.values():
            if isinstance(before, AtOnce) and before.number is not None:
                self.stop()
                raise Stopped(before.number)

    def stop(self) -> None:
        """Leave signals to whom they were before, unless somebody else has them by now."""
        before, self._before = self._before, {}
        for number, handler in before.items():
            if signal.getsignal(number) == self._hear:
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
            if isinstance(handler, AtOnce) and self.number is not None:
                handler.arrivals = self._arrivals

    def ask(self) -> None:
        """Take it as Ctrl-C, from any thread: the next signal ends the run where it is."""
        if self._count == 0:
            self._count, self.number, self._since = 1, signal.SIGINT, time.monotonic()

    def seconds(self) -> float:
        """Return how long ago the first signal came, 0 where none did."""
        return 0.0 if self.number is None else time.monotonic() - self._since

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if not self._arrivals.is_new(number):
            return
        self._count += 1
        if self._count == 1:
            self.number, self._since = number, time.monotonic()
            if number == signal.SIGINT:
                _say("stopping where nothing is lost; Ctrl-C once more stops at once")
            return
        if self._count > 2:
            os._exit(128 + number)
        raise Stopped(number)


@contextmanager
def heard_before_a_run() -> Iterator[None]:
    """Let SIGTERM raise :class:`Stopped` where nobody else hears it, as while parts are made.

    Without it the system ends the process, which says nothing.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    at_once = AtOnce()
    signal.signal(signal.SIGTERM, at_once)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is at_once:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


class AtOnce:
    """A handler that raises :class:`Stopped` at each signal, and notes it.

    For a finalizer or a callback from C, if it interrupts one, prints the exception and goes on.

    Attributes:
        number: of the newest signal; None: none came.
        arrivals: of signals, those that a run heard among them.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.arrivals = _Arrivals()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Raise, where the signal isn't the newest one sent twice."""
        if self.arrivals.is_new(number):
            self.number = number
            raise Stopped(number)


def _say(text: str) -> None:
    # Not by a logger or print: either may be in the midst of writing.
    with suppress(OSError, AttributeError):  # nobody may read it, or there is none
        os.write(sys.__stderr__.fileno(), f"\nlightning-dqn: {text}\n".encode())  # type: ignore[union-attr]


def requeue(environment: Mapping[str, str], how: str) -> list[str]:
    """Ask SLURM to run the job again in which this process is, if it is in one.

    Args:
        environment: of the process.
        how: what is asked for goes on then.

    Returns:
        What is to be told.
    """
    job = environment.get("SLURM_JOB_ID")
    array, task = (environment.get(f"SLURM_ARRAY_{name}") for name in ("JOB_ID", "TASK_ID"))
    job = f"{array}_{task}" if array and task else job
    if job is None:
        return []
    try:
        subprocess.run(["scontrol", "requeue", job], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = str(getattr(error, "stderr", "") or error).strip()
        return [f"  SLURM couldn't requeue job {job}: {reason}"]
    return [f"  SLURM runs job {job} again; {how}"]
