"""What is used of Ray, in this process and one call after the other, so that tests are quick.

What passes between actors and their user is pickled, and its arrays can't be written to.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, Literal

import cloudpickle
import numpy as np

from lightning_dqn.system.seeding import generators_kept


class RayTaskError(Exception):
    """An exception of an actor's method."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(f"ray::method()\n{cause}")
        self.cause = cause


class ActorDiedError(Exception):
    """The process is gone."""

    def __init__(self, text: str, *, actor_init_failed: bool = False) -> None:
        super().__init__(text)
        self.actor_init_failed = actor_init_failed


class GetTimeoutError(Exception):
    """Nothing has come in time."""


def sent(value: Any) -> Any:
    """Return what arrives of a value."""
    buffers: list[Any] = []
    data = cloudpickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    return cloudpickle.loads(data, buffers=[bytes(one) for one in buffers])


class Call:
    """A reference to what a call will give."""

    def __init__(self, actor: FakeActor, method: str, arguments: tuple[Any, ...]) -> None:
        self.actor, self.method, self.arguments = actor, method, arguments
        self.result: Any = None
        self.error: Exception | None = None
        self.is_done = False


class FakeActor:
    """An actor that is made at its first call."""

    def __init__(self, ray: FakeRay, cls: type, config: Any) -> None:
        self._ray, self._make = ray, lambda: cls(sent(config))
        self._made: Any = None
        self.is_dead = self.hangs = False

    def __getattr__(self, method: str) -> Any:
        return SimpleNamespace(remote=lambda *given: self._ray.call(self, method, given))

    def run(self, call: Call) -> None:
        """Do what a call asks for."""
        try:
            if self.is_dead:
                raise ActorDiedError("The actor is dead")
            if self._made is None:
                try:
                    self._made = self._make()
                except Exception as error:
                    raise ActorDiedError(f"in making\n{error}", actor_init_failed=True) from error
            given = [one.value if isinstance(one, Put) else sent(one) for one in call.arguments]
            try:
                call.result = sent(getattr(self._made, call.method)(*given))
            except Exception as error:
                self._fail(error)
        except (RayTaskError, ActorDiedError) as error:
            call.error = error
        call.is_done = not self.hangs

    def _fail(self, error: Exception) -> None:
        if self._ray.fault == "hang":
            self.hangs = True
        elif self._ray.fault == "die":
            self.is_dead = True
            raise ActorDiedError("The actor is dead") from error
        else:
            raise RayTaskError(error) from error


class Put:
    """A reference to what was put."""

    def __init__(self, value: Any) -> None:
        self.value = sent(value)


class FakeRay:
    """Actors that take turns.

    Args:
        fault: what becomes of an actor whose environment raises.
        seed: of the order in which actors have their turns.

    Attributes:
        calls: all that were made, by the names of their methods.
        killed: actors that were ended.
        is_closed: as a session.
    """

    exceptions = SimpleNamespace(RayTaskError=RayTaskError, GetTimeoutError=GetTimeoutError)

    def __init__(self, *, fault: Literal["raise", "die", "hang"] = "raise", seed: int = 0) -> None:
        self.fault = fault
        self.calls: list[str] = []
        self.killed: list[FakeActor] = []
        self.most_at_once = 0
        self.is_closed = False
        self._queue: list[Call] = []
        self._generator = np.random.default_rng(seed)

    @property
    def ray(self) -> FakeRay:
        """The module, of a session."""
        return self

    def close(self) -> None:
        """End the session."""
        self.is_closed = True

    def nodes(self) -> list[Any]:
        return []

    def remote(self, **options: Any) -> Callable[[type], Any]:
        return lambda cls: SimpleNamespace(remote=lambda config: FakeActor(self, cls, config))

    def call(self, actor: FakeActor, method: str, arguments: tuple[Any, ...]) -> Call:
        call = Call(actor, method, arguments)
        self.calls.append(method)
        self._queue.append(call)
        own = sum(one.actor is actor for one in self._queue)
        self.most_at_once = max(self.most_at_once, own)
        return call

    def put(self, value: Any) -> Put:
        return Put(value)

    def wait(
        self, calls: Sequence[Call], *, num_returns: int, timeout: float
    ) -> tuple[list[Call], list[Call]]:
        """Let one actor have a turn where none of the calls is done."""
        assert calls, "waits for nothing, which never comes"
        if timeout and not any(call.is_done for call in calls):
            self._turn()
            time.sleep(0.001)
        done = [call for call in calls if call.is_done][:num_returns]
        return done, [call for call in calls if call not in done]

    def get(self, call: Call, timeout: float | None = None) -> Any:
        while not call.is_done:
            if not self._turn():
                raise GetTimeoutError
        if call.error is not None:
            raise call.error
        return call.result

    def kill(self, actor: FakeActor, no_restart: bool) -> None:
        assert no_restart
        self.killed.append(actor)
        self._queue = [call for call in self._queue if call.actor is not actor]

    def _turn(self) -> bool:
        firsts: dict[int, Call] = {}
        for call in self._queue:
            firsts.setdefault(id(call.actor), call)
        free = [call for call in firsts.values() if not call.actor.hangs]
        if not free:
            return False
        call = free[int(self._generator.integers(len(free)))]
        with generators_kept():  # which an actor has of its own
            call.actor.run(call)
        if call.is_done:
            self._queue.remove(call)
        return True
