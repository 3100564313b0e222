"""The trainer's side of a worker: what is asked of it, and how long its answer is waited for."""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import gymnasium as gym
from gymnasium.vector.utils import CloudpickleWrapper, clear_mpi_env_vars

from lightning_dqn.environments.worker_faults import WorkerFault, death, end
from lightning_dqn.environments.worker_process import work

WAITING_SECONDS = 0.25
"""How long is waited for a worker before someone else has a turn."""

_STARTING = threading.Lock()
"""A process that is forked while another's pipe is being made would hold its end open."""


class Worker:
    """A process with one environment, which it is still making when this returns.

    Args:
        context: of multiprocessing.
        index: of the environment among its like.
        make: makes it.
        memory: shared, where observations go.

    Attributes:
        process: it.
        pipe: the way there and back.
        has_stepped: its environment has made a step.
    """

    def __init__(self, context: Any, index: int, make: Callable[[], gym.Env], memory: Any) -> None:
        is_main = threading.current_thread() is threading.main_thread()
        with _STARTING, clear_mpi_env_vars():
            self.pipe, theirs = context.Pipe()
            self.process = context.Process(
                target=work,
                name=f"environment {index}",
                args=(index, CloudpickleWrapper(make), theirs, self.pipe, memory, is_main),
                daemon=True,
            )
            try:
                self.process.start()
            except BaseException:
                self.pipe.close()
                raise
            finally:
                theirs.close()
        # At the trainer's end multiprocessing would ask it to, by SIGTERM, and wait for it.
        atexit.register(self.process.kill)
        self.has_stepped = False
        self._fault: WorkerFault | None = None

    def ask(self, command: str, data: Any = None) -> None:
        """Send a command; where the worker is gone, its missing answer tells so."""
        if self._fault is None:
            with suppress(ConnectionError):
                self.pipe.send((command, data))

    def answer(self, deadline: float, seconds: float, while_waiting: Callable[[], None]) -> Any:
        """Return the answer, or a :class:`WorkerFault` in its place, the last that comes.

        Args:
            deadline: by ``time.monotonic``; infinite: wait for ever.
            seconds: that it was from the beginning, to be told.
            while_waiting: called now and then.
        """
        if self._fault is not None:
            return self._fault
        answer = self._wait_for(deadline, seconds, while_waiting)
        if isinstance(answer, WorkerFault):
            self._fault = answer
        return answer

    def _wait_for(self, deadline: float, seconds: float, while_waiting: Callable[[], None]) -> Any:
        pipe = self.pipe
        part = min(WAITING_SECONDS, seconds)
        try:
            while not pipe.poll(part):
                while_waiting()
                if time.monotonic() >= deadline:
                    return WorkerFault(
                        f"didn't answer in {seconds:g} seconds (if it may take longer, set "
                        "environment.worker_timeout=<seconds>)"
                    )
                # Another process may hold the pipe open, so that its end would never be seen.
                if not self.process.is_alive() and not pipe.poll(0):
                    return death(self.process)
            answer, is_answer = pipe.recv()
        except (EOFError, ConnectionError):
            return death(self.process)
        assert is_answer or isinstance(answer, WorkerFault)
        return answer

    def end(self) -> None:
        """End the process and close the pipe, whatever it is doing."""
        atexit.unregister(self.process.kill)
        end([self.process])
        self.pipe.close()
        with suppress(ValueError):  # not even killing has ended it
            self.process.close()
