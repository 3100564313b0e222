"""A worker: one environment in a process of its own, which does what comes through a pipe.

It answers each command with ``(answer, True)``, or with ``(WorkerFault, False)`` and ends. It
leaves signals to the trainer, which may have to save first, and ends when that does.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import traceback
from collections.abc import Callable
from typing import Any

import gymnasium as gym
from gymnasium.vector.utils import write_to_shared_memory

from lightning_dqn.environments.declared import (
    RESET,
    STEP,
    DeclaredObservation,
    WrongGiven,
    as_end,
    as_reward,
    parts,
)
from lightning_dqn.environments.worker_faults import WorkerFault
from lightning_dqn.safekeeping.signals import HEARD
from lightning_dqn.system.processes import hear_of_parents_end


def work(
    index: int,
    make: Callable[[], gym.Env],
    pipe: Any,
    parents_pipe: Any,
    memory: Any,
    dies_with_thread: bool,
) -> None:
    """Make an environment and do what comes through the pipe.

    Args:
        index: of the environment among its like.
        make: makes it.
        pipe: commands come and answers go here.
        parents_pipe: the other end, which a forked process has too.
        memory: shared, where observations go.
        dies_with_thread: the thread that started this lives as long as the trainer.
    """
    leave_signals_to_parent()
    end_with_parent(by_system=dies_with_thread)
    parents_pipe.close()
    environment = None
    try:
        environment = make()
        _Served(index, environment, memory).serve(pipe)
    except (EOFError, ConnectionError):  # nobody is there any more
        pass
    except Exception as error:
        text = str(error)
        is_wrong = isinstance(error, WrongGiven)
        said = text if is_wrong else f"raised {type(error).__name__}: {text}"
        trace = traceback.format_exc()
        pipe.send((WorkerFault(said, trace, is_final=is_wrong), False))
    finally:
        if environment is not None:
            environment.close()


class _Served:
    """An environment that serves commands.

    Args:
        index: among its like.
        environment: it.
        memory: shared, where observations go.
    """

    def __init__(self, index: int, environment: gym.Env, memory: Any) -> None:
        self.index = index
        self.environment = environment
        self.memory = memory
        self.space = environment.observation_space
        self.declared = DeclaredObservation(self.space)
        self.steps = 0

    def serve(self, pipe: Any) -> None:
        """Do what comes through the pipe, until it says ``close``."""
        commands: dict[str, Callable[[Any], Any]] = {
            "step": self._step,
            "reset": self._reset,
            "call": self._call,
            "set": self._set,
            "spaces": self._has_spaces,
        }
        while True:
            command, data = pipe.recv()
            if command == "close":
                return
            pipe.send((commands[command](data), True))

    def _step(self, action: Any) -> tuple[Any, ...]:
        given = self.environment.step(action)
        self.steps += 1
        observation, reward, terminated, truncated, info = parts(given, STEP)
        self._write(observation)
        ends = (as_end("terminated", terminated), as_end("truncated", truncated))
        return (as_reward(reward), *ends, info)

    def _reset(self, arguments: dict[str, Any]) -> Any:
        observation, info = parts(self.environment.reset(**arguments), RESET)
        self._write(observation)
        return info

    def _write(self, observation: Any) -> None:
        taken = self.declared.take(observation, self.steps)
        write_to_shared_memory(self.space, self.index, taken, self.memory)

    def _call(self, what: tuple[str, tuple[Any, ...], dict[str, Any]]) -> Any:
        name, arguments, named = what
        attribute = self.environment.get_wrapper_attr(name)
        return attribute(*arguments, **named) if callable(attribute) else attribute

    def _set(self, what: tuple[str, Any]) -> None:
        self.environment.set_wrapper_attr(*what)

    def _has_spaces(self, spaces: tuple[gym.Space, gym.Space]) -> tuple[bool, bool]:
        observations, actions = spaces
        return observations == self.space, actions == self.environment.action_space


def leave_signals_to_parent() -> None:
    """Go on at a signal that schedulers, and terminals, send to all of a group of processes."""
    own = os.getpid()

    def hear(number: int, frame: Any) -> None:
        if os.getpid() != own:  # a process that the environment forked
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    # Programs that the environment starts inherit what is ignored, but must end when it asks them.
    for number in HEARD:
        signal.signal(number, hear if number == signal.SIGTERM else signal.SIG_IGN)


def end_with_parent(*, by_system: bool) -> None:
    """End this process when its parent does.

    A thread sees to it, but has no turn where the environment hangs in C without letting it; on
    Linux the system does it too. Its signal comes when the thread that started the process ends,
    so it is asked for only where that is as good as the parent's end.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    threading.Thread(target=_wait_for_end, args=[parent.sentinel], daemon=True).start()
    # A server of processes may stand between, whose end says nothing of the trainer's.
    if by_system and os.getppid() == parent.pid:
        hear_of_parents_end()
        if os.getppid() != parent.pid:  # it ended just before
            os._exit(1)


def _wait_for_end(sentinel: Any) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)
