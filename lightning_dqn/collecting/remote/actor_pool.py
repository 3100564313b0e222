"""The actors: asked for blocks, given deadlines, replaced where they fail, die or hang."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from lightning_dqn.collecting.remote.actor import ActorConfig, RemoteActor
from lightning_dqn.collecting.remote.block import Block, BlockRequest
from lightning_dqn.environments.worker_faults import Restarts, WorkerError
from lightning_dqn.system.faults import first_line

STARTING_TIMES = 5
"""How many times as long as another call an actor's first one may take: it imports and makes."""

_LOOK_SECONDS = 0.25


class ActorFault(NamedTuple):
    """Why an actor gave no block.

    Attributes:
        cause: as the end of ``actor 3 ...``.
        is_own: its environments or its policy raised, so that another may do the same.
    """

    cause: str
    is_own: bool = False


class ActorPool:
    """Actors, each with its calls under way.

    Args:
        ray: the module, begun.
        config_of: returns what actor ``index`` is made from, the ``number``-th in its place.
        size: how many actors there are.
        name: how messages call the environment.
        timeout: seconds that a call may take; None: for ever.
        max_restarts: of all actors together.

    Attributes:
        restarts: so far, and their bound.
        name: see above.
    """

    def __init__(
        self,
        ray: Any,
        config_of: Callable[[int, int], ActorConfig],
        *,
        size: int,
        name: str,
        timeout: float | None,
        max_restarts: int,
    ) -> None:
        self.restarts = Restarts(
            max_restarts, kind="actors", key="data.collection.max_actor_restarts"
        )
        self.size = size
        self._ray, self._config_of, self.name = ray, config_of, name
        self._timeout = timeout
        self._numbers = [0] * size
        self._has_delivered = [False] * size
        self._calls: dict[Any, tuple[int, int]] = {}
        self._since = [0.0] * size
        how = {"num_cpus": 0, "max_restarts": 0, "max_task_retries": 0}
        self._make = ray.remote(**how, scheduling_strategy="SPREAD")(RemoteActor).remote
        self._actors = [self._start(index) for index in range(size)]

    def num_calls(self, index: int) -> int:
        """Return how many calls of an actor are under way."""
        return sum(one == index for one, _ in self._calls.values())

    def asked_of(self, index: int) -> int:
        """Return the times T of the blocks that are under way from an actor."""
        return sum(times for one, times in self._calls.values() if one == index)

    def ask(self, index: int, request: BlockRequest, snapshot: Any) -> None:
        """Ask an actor for a block.

        Args:
            index: of the actor.
            request: what is asked for.
            snapshot: a reference to a newer policy; None: the one that it has.
        """
        if self.num_calls(index) == 0:
            self._since[index] = time.monotonic()
        call = self._actors[index].collect.remote(request, snapshot)
        self._calls[call] = (index, request.num_times)

    def answers(self) -> Iterator[tuple[int, Block | ActorFault]]:
        """Yield blocks that have come, and faults, of which an actor has one at a time.

        Waits a moment where there are none. Of an actor with a fault no other call counts.
        """
        calls = list(self._calls)
        ready, _ = self._ray.wait(calls, num_returns=1, timeout=_LOOK_SECONDS)
        if ready:
            ready, _ = self._ray.wait(calls, num_returns=len(calls), timeout=0)
        for call in sorted(ready, key=calls.index):
            if call in self._calls:  # else an earlier one of the actor had a fault
                index, _ = self._calls.pop(call)
                yield index, self._result(index, call)
        for index in range(self.size):
            if self.num_calls(index) and (cause := self._overdue(index)) is not None:
                yield index, self._fault(index, cause)

    def replace(self, index: int, fault: ActorFault) -> None:
        """Put another actor in the place of one.

        Raises:
            WorkerError: it would fail again, or that has been done too often.
        """
        fails_at_once = fault.is_own and not self._has_delivered[index]
        if fails_at_once or self.restarts.are_used_up:
            raise self._error(index, fault)
        self._kill(index)
        self._numbers[index] += 1
        self._has_delivered[index] = False
        self._actors[index] = self._start(index)
        self.restarts.count(
            f"{self.name}: actor {index} {fault.cause}; its episodes were cut and another actor "
            "begun"
        )

    def call(self, method: str, arguments: list[tuple[Any, ...]]) -> list[Any]:
        """Call a method of every actor, each with its own arguments, and return what they give.

        Raises:
            WorkerError: one doesn't answer.
        """
        calls = [
            getattr(actor, method).remote(*given)
            for actor, given in zip(self._actors, arguments, strict=True)
        ]
        seconds = None if self._timeout is None else self._timeout * STARTING_TIMES
        results = []
        for index, call in enumerate(calls):
            try:
                results.append(self._ray.get(call, timeout=seconds))
            except Exception as error:  # Ray's, or what the environment raised
                raise self._error(index, self._fault_of(error)) from error
        return results

    def close(self) -> None:
        """End all actors; their environments get a moment to close."""
        free = [actor for index, actor in enumerate(self._actors) if self.num_calls(index) == 0]
        if free:
            with suppress(Exception):  # they end in any case
                closing = [actor.close.remote() for actor in free]
                self._ray.wait(closing, num_returns=len(closing), timeout=1.0)
        for index in range(len(self._actors)):
            self._kill(index)
        self._actors, self._calls = [], {}

    def _start(self, index: int) -> Any:
        return self._make(self._config_of(index, self._numbers[index]))

    def _kill(self, index: int) -> None:
        with suppress(Exception):  # it may be gone
            self._ray.kill(self._actors[index], no_restart=True)

    def _result(self, index: int, call: Any) -> Block | ActorFault:
        try:
            block: Block = self._ray.get(call)
        except Exception as error:  # Ray's, or what the environment raised
            return self._fault(index, self._fault_of(error))
        self._has_delivered[index] = True
        self._since[index] = time.monotonic()
        return block

    def _fault(self, index: int, fault: ActorFault) -> ActorFault:
        """Forget an actor's other calls."""
        self._calls = {call: asked for call, asked in self._calls.items() if asked[0] != index}
        return fault

    def _overdue(self, index: int) -> ActorFault | None:
        if self._timeout is None:
            return None
        seconds = self._timeout * (1 if self._has_delivered[index] else STARTING_TIMES)
        if time.monotonic() - self._since[index] <= seconds:
            return None
        return ActorFault(f"hasn't sent a block for {seconds:.0f} s (data.collection.call_timeout)")

    def _fault_of(self, error: Exception) -> ActorFault:
        kinds = self._ray.exceptions
        lines = [line for line in str(error).splitlines() if line.strip()] or [""]
        if isinstance(error, kinds.RayTaskError):
            cause = getattr(error, "cause", None) or error
            return ActorFault(f"raised {type(cause).__name__}: {first_line(cause)}", is_own=True)
        if getattr(error, "actor_init_failed", False):
            return ActorFault(f"couldn't be made: {lines[-1].strip()}", is_own=True)
        if isinstance(error, kinds.GetTimeoutError):
            return ActorFault("doesn't answer (data.collection.call_timeout)")
        return ActorFault(f"was lost ({type(error).__name__})")

    def _error(self, index: int, fault: ActorFault) -> WorkerError:
        return self.restarts.error(f"{self.name}: actor {index} {fault.cause}")
