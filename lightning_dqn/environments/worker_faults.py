"""What is said of a worker that failed, died or hung."""

from __future__ import annotations

import signal
import time
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from gymnasium.vector import AsyncVectorEnv

from lightning_dqn.system.faults import RunFault

CLOSING_SECONDS = 5.0
"""How long a worker that was asked to end may take before it is made to."""

RESTARTED = "lightning_dqn/worker_restarted"
"""Where ``info`` tells, bool[E], whose episode was cut because its worker began anew."""


class WorkerError(RunFault):
    """A worker failed, died or hung; the message names it and the cause."""


class WorkerRestarted(UserWarning):
    """A worker failed, died or hung, and another took its place."""


class WorkerFault(NamedTuple):
    """Why a worker gave no answer.

    Attributes:
        cause: as the end of ``environment 3 ...``.
        trace: where in the worker, or nothing.
        is_final: another worker would do the same.
    """

    cause: str
    trace: str = ""
    is_final: bool = False


class Restarts:
    """How often others took the place of workers, or of actors, and how often they may.

    Args:
        most: of all together.
        kind: what messages call them, in the plural.
        key: raises the bound.

    Attributes:
        number: so far.
    """

    def __init__(self, most: int, *, kind: str, key: str) -> None:
        self.number = 0
        self._most, self._kind, self._key = most, kind, key

    @property
    def are_used_up(self) -> bool:
        """Whether there may be no other."""
        return self.number >= self._most

    def count(self, event: str) -> None:
        """Count one more, and warn of it.

        Args:
            event: what happened and what was done, as a sentence without its end.
        """
        self.number += 1
        text = f"{event}, restart {self.number} of {self._most} at most"
        warnings.warn(text, WorkerRestarted, stacklevel=3)

    def error(self, event: str) -> WorkerError:
        """Return what to raise where nothing takes the place; it says so where that is the bound.

        Args:
            event: what happened, likewise.
        """
        if 0 < self._most <= self.number:
            event += (
                f"; after {self.number} restarts of {self._kind} there is none left: mend the "
                f"environment or raise {self._key}"
            )
        return WorkerError(event)


def death(process: Any) -> WorkerFault:
    """Return how a worker that closed its pipe ended; wait a moment for it to be gone."""
    process.join(1.0)  # the pipe closes a moment before
    if process.is_alive():
        return WorkerFault("closed the pipe of its worker")
    return WorkerFault(f"lost its worker, which {how_it_ended(process.exitcode or 0)}")


def died(environment: AsyncVectorEnv, name: str, error: Exception) -> WorkerError:
    """Return which of gymnasium's own workers has died, where one doesn't answer; end the rest.

    Args:
        environment: someone's, not ours.
        name: how messages call it.
        error: what the pipe said, which says nothing.
    """
    # Its frames hold the pipe's buffer, over which the garbage collector of Python 3.12.1 stumbles
    # (github.com/python/cpython/issues/77894).
    error.__traceback__ = None
    cause = "a worker closed its pipe"
    deadline = time.monotonic() + 1.0
    while time.monotonic() < deadline:  # the pipe closes a moment before the process is gone
        gone = [index for index, p in enumerate(environment.processes) if not p.is_alive()]
        if gone:
            how = how_it_ended(environment.processes[gone[0]].exitcode or 0)
            cause = f"environment {gone[0]} lost its worker, which {how}"
            break
        time.sleep(0.01)
    end(environment.processes)
    for pipe in environment.parent_pipes:
        if pipe is not None:
            pipe.close()
    environment.closed = True  # its own close would wait for an answer
    return WorkerError(f"{name}: {cause}")


def end(processes: Sequence[Any], grace: float = 0.0) -> None:
    """See to it that processes are gone.

    Args:
        processes: to be ended.
        grace: seconds in which they may end by themselves.
    """
    join(processes, grace)
    for process in processes:
        with suppress(ValueError):  # closed already
            process.kill()
    join(processes, CLOSING_SECONDS)


def join(processes: Sequence[Any], seconds: float) -> None:
    """Wait until processes are gone, all of them together for so long at most."""
    deadline = time.monotonic() + seconds
    for process in processes:
        with suppress(ValueError):
            process.join(max(0.0, deadline - time.monotonic()))


def how_it_ended(exit_code: int) -> str:
    """Return what an exit code says, as ``ended with exit code 3``."""
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    name = signal.Signals(-exit_code).name
    why = ", as the system does where memory runs out" if name == "SIGKILL" else ""
    return f"was ended by {name}{why}"
