"""Environments in processes of their own, which may fail, die or hang without a run that hangs.

gymnasium's ``AsyncVectorEnv`` steps them; here is what it says and does when one of them doesn't
answer.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import queue
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import gymnasium as gym
from gymnasium.vector import AsyncVectorEnv
from gymnasium.vector.async_vector_env import AsyncState, _async_worker

CLOSING_SECONDS = 5.0
"""How long a worker that was asked to end may take before it is made to."""


class WorkerError(RuntimeError):
    """A worker failed, died or hung; the message names it and the cause."""


class WorkerVectorEnv(AsyncVectorEnv):
    """Environments in a process each, stepped at once.

    Whatever goes wrong in one of them ends all and is a :class:`WorkerError`. Workers end by
    SIGTERM, leave Ctrl-C to the trainer, and end when it does.

    Args:
        makers: functions that make the environments.
        name: how messages call the environment.
        timeout: seconds after which a worker that doesn't answer counts as hanging; None waits
            for ever.
    """

    def __init__(
        self, makers: Sequence[Callable[[], gym.Env]], *, name: str, timeout: float | None
    ) -> None:
        self._name = name
        self._timeout = timeout
        self.processes: list[Any] = []
        self.parent_pipes: list[Any] = []
        with self._watched():
            super().__init__(makers, worker=_work)

    def reset(self, **kwargs: Any) -> Any:
        """Return the first observations and infos; see the class for what may go wrong."""
        with self._watched():
            return super().reset(**kwargs)

    def step(self, actions: Any) -> Any:
        """Return what the steps gave; see the class for what may go wrong."""
        with self._watched():
            return super().step(actions)

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Return what a method of each gave; see the class for what may go wrong."""
        with self._watched():
            return super().call(name, *args, **kwargs)

    def close_extras(self, timeout: float | None = None, terminate: bool = False) -> None:
        """Ask the workers to end, and make them if they don't.

        Args:
            timeout: seconds that they have; None: 5.
            terminate: don't ask.
        """
        seconds = CLOSING_SECONDS if timeout is None else timeout
        if not terminate:
            for pipe in self.parent_pipes:
                with suppress(OSError, AttributeError):  # it is gone already
                    pipe.send(("close", None))
            _join(self.processes, seconds)
        for end in ("terminate", "kill"):
            alive = [process for process in self.processes if process.is_alive()]
            for process in alive:
                getattr(process, end)()
            _join(alive, CLOSING_SECONDS)
        _close_pipes(self)
        self._state = AsyncState.DEFAULT

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Turn what a worker's silence looks like into a :class:`WorkerError`, and end all."""
        try:
            yield
        except WorkerError:
            self.close(terminate=True)
            raise
        except (EOFError, ConnectionError) as error:
            raise died(self, self._name, error) from None
        except multiprocessing.TimeoutError as error:
            hanging = [i for i, pipe in enumerate(self.parent_pipes) if not pipe.poll()]
            self.close(terminate=True)
            raise WorkerError(
                f"{self._name}: {_listed(hanging)} didn't answer in {self._timeout:g} seconds. "
                "If it may take longer, set environment.worker_timeout=<seconds>"
            ) from error

    def _poll_pipe_envs(self, timeout: float | None = None) -> bool:
        return super()._poll_pipe_envs(self._timeout if timeout is None else timeout)

    def _check_spaces(self) -> None:
        # The first exchange, which gymnasium would wait for without a limit: are they all made?
        self.call("has_wrapper_attr", "step")
        super()._check_spaces()

    def _raise_if_errors(self, successes: Iterable[bool]) -> None:
        if all(successes):
            return
        try:
            index, kind, value, trace = self.error_queue.get(timeout=CLOSING_SECONDS)
        except queue.Empty:
            index = list(successes).index(False)
            text = f"{self._name}: environment {index} raised an error that can't be pickled"
            raise WorkerError(text) from None
        error = WorkerError(f"{self._name}: environment {index} raised {kind.__name__}: {value}")
        error.add_note(f"In the worker:\n{trace}")
        raise error


def died(environment: AsyncVectorEnv, name: str, error: Exception) -> WorkerError:
    """Return which worker of an environment has died, where one doesn't answer; close the rest.

    Args:
        environment: anyone's, ours or gymnasium's own.
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
            how = _how_it_ended(environment.processes[gone[0]].exitcode or 0)
            cause = f"the worker of environment {gone[0]} {how}"
            break
        time.sleep(0.01)
    for process in environment.processes:
        process.kill()
    _join(environment.processes, CLOSING_SECONDS)
    _close_pipes(environment)
    environment.closed = True  # its own close would wait for an answer
    return WorkerError(f"{name}: {cause}")


def _work(index: int, make: Callable[[], gym.Env], pipe: Any, *others: Any) -> None:
    """Be a worker: make an environment and do what comes through the pipe."""
    # What the trainer does at a signal, as saving a checkpoint, isn't for its workers.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _async_worker(index, make, pipe, *others)
    except Exception as error:  # in making it: later ones are sent from within
        errors = others[2]
        errors.put((index, type(error), str(error), traceback.format_exc()))
        pipe.send((None, False))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def _close_pipes(environment: AsyncVectorEnv) -> None:
    for pipe in environment.parent_pipes:
        if pipe is not None:
            pipe.close()


def _join(processes: Sequence[Any], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))


def _how_it_ended(exit_code: int) -> str:
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    name = signal.Signals(-exit_code).name
    why = ", as the system does where memory runs out" if name == "SIGKILL" else ""
    return f"was ended by {name}{why}"


def _listed(indices: Sequence[int]) -> str:
    return f"environment{'s'[: len(indices) > 1]} {', '.join(map(str, indices))}"
