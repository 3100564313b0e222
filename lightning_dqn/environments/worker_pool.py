"""The workers of a vector environment: asked all at once, replaced one by one."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import gymnasium as gym
from gymnasium.error import AlreadyPendingCallError, NoAsyncCallError

from lightning_dqn.environments.worker import Worker
from lightning_dqn.environments.worker_faults import Restarts, WorkerError, WorkerFault, end
from lightning_dqn.system.seeding import seed_of

STARTING_TIMES = 5
"""How many times as long as a step the making of an environment, or a reset, may take."""

WhileWaiting = Callable[[float, float], None]
"""Called now and then while a worker is waited for, with the seconds since it was asked and the
most that any took before for the like."""


class WorkerPool:
    """A worker for each environment, with the bound on how often one is replaced.

    Args:
        makers: functions that make the environments.
        name: how messages call the environment.
        timeout: seconds after which a worker that doesn't answer counts as hanging, five times
            as many where it makes or resets its environment; None waits for ever.
        max_restarts: of all workers together.

    Attributes:
        workers: those that were started, in order.
        seeds: from which those after a restart are drawn.
        restarts: so far, and their bound.
    """

    def __init__(
        self,
        makers: Sequence[Callable[[], gym.Env]],
        *,
        name: str,
        timeout: float | None,
        max_restarts: int,
    ) -> None:
        self.workers: list[Worker] = []
        self.seeds: list[int | None] = [None] * len(makers)
        self._makers = makers
        self._name = name
        self._timeout = timeout
        self.restarts = Restarts(
            max_restarts, kind="workers", key="environment.max_worker_restarts"
        )
        self._restarts_of = [0] * len(makers)
        self._asked: list[tuple[str, Any]] = []
        self._longest: dict[str, float] = {}
        self._context: Any = None
        self._memory: Any = None

    def start(self, context: Any, memory: Any) -> None:
        """Start all workers.

        Args:
            context: of multiprocessing.
            memory: shared, where observations go.
        """
        self._context, self._memory = context, memory
        for index in range(len(self._makers)):
            self.workers.append(self._start(index))

    @property
    def processes(self) -> list[Any]:
        """The workers' processes."""
        return [worker.process for worker in self.workers]

    def check_free(self) -> None:
        """Refuse to ask while answers are awaited.

        Raises:
            AlreadyPendingCallError: they are.
        """
        if self._asked:
            raise AlreadyPendingCallError("the last call's answers have not come", "waiting")

    def ask(self, commands: list[tuple[str, Any]]) -> None:
        """Send each worker its command."""
        self._asked = commands
        for worker, (command, data) in zip(self.workers, commands, strict=True):
            worker.ask(command, data)

    def answers(self, timeout: float | None, while_waiting: WhileWaiting) -> Iterator[Any]:
        """Yield the answer of each worker, or its fault; after the last one it may be asked anew.

        Raises:
            NoAsyncCallError: nothing was asked.
        """
        if not self._asked:
            raise NoAsyncCallError("nothing was asked", "waiting")
        began = time.monotonic()
        have_answered = True
        for index, (command, _) in enumerate(self._asked):
            answer = self._answer(index, command, began, timeout, while_waiting)
            have_answered &= not isinstance(answer, WorkerFault)
            if have_answered:  # for the others one was waited for in vain
                took = time.monotonic() - began
                self._longest[command] = max(took, self._longest.get(command, 0.0))
            yield answer
        self._asked = []

    def insist(
        self, index: int, answer: Any, *, seed_anew: bool, while_waiting: WhileWaiting
    ) -> Any:
        """Return the answer to a reset; of a new worker where there is none.

        Args:
            index: of the worker.
            answer: its own, or its fault.
            seed_anew: the reset was no one's wish but followed an episode's end.
            while_waiting: see :meth:`answers`.

        Raises:
            WorkerError: the new one has a fault too, or there may be none.
        """
        if not isinstance(answer, WorkerFault):
            return answer
        self.replace(index, answer)
        command, data = self._asked[index]
        self.workers[index].ask(command, {"seed": self.seed_of(index)} if seed_anew else data)
        answer = self._answer(index, command, time.monotonic(), None, while_waiting)
        if isinstance(answer, WorkerFault):
            raise self.error(index, answer)
        return answer

    def replace(self, index: int, fault: WorkerFault) -> None:
        """Give an environment a new worker.

        Raises:
            WorkerError: it would fail again, or that has been done too often.
        """
        worker = self.workers[index]
        if fault.is_final or not worker.has_stepped or self.restarts.are_used_up:
            raise self.error(index, fault)
        worker.end()
        self._restarts_of[index] += 1
        self.workers[index] = self._start(index)
        self.restarts.count(
            f"{self._name}: environment {index} {fault.cause}; its episode was cut and its worker "
            "restarted"
        )

    def seed_of(self, index: int) -> int | None:
        """Return the seed of a new worker's first episode; None: one that has stepped goes on."""
        seed = self.seeds[index]
        if self.workers[index].has_stepped or seed is None:
            return None
        return seed_of(seed, "restart", index, self._restarts_of[index]) >> 1

    def error(self, index: int, fault: WorkerFault) -> WorkerError:
        """Return what to raise for a fault that ends all."""
        error = self.restarts.error(f"{self._name}: environment {index} {fault.cause}")
        if fault.trace:
            error.add_note(f"In the worker:\n{fault.trace}")
        return error

    def end(self, grace: float | None) -> None:
        """End all workers.

        Args:
            grace: seconds that they have once they are asked to; None: they aren't asked.
        """
        if grace is not None:
            for worker in self.workers:
                with suppress(OSError):
                    worker.ask("close")
            end(self.processes, grace)
        for worker in self.workers:
            worker.end()
        self.workers, self._asked = [], []

    def _start(self, index: int) -> Worker:
        return Worker(self._context, index, self._makers[index], self._memory)

    def _answer(
        self,
        index: int,
        command: str,
        began: float,
        timeout: float | None,
        while_waiting: WhileWaiting,
    ) -> Any:
        seconds = math.inf
        if timeout is not None:
            seconds = timeout
        elif self._timeout is not None:
            seconds = self._timeout * (1 if command == "step" else STARTING_TIMES)
        longest = self._longest.get(command, 0.0)

        def tell() -> None:
            while_waiting(time.monotonic() - began, longest)

        return self.workers[index].answer(began + seconds, seconds, tell)
