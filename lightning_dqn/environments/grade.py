"""How exactly environments can be continued in another process: found by trying.

That a state can be read proves nothing: some environments keep a part of it where it isn't seen.
So two are made, one continues from the other's state, and both must go on alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv

from lightning_dqn.environments.declared import STEP, as_end, parts
from lightning_dqn.environments.state import UnknownStateError, read_state, write_state
from lightning_dqn.environments.workers import WorkerVectorEnv
from lightning_dqn.system.seeding import global_generators, set_global_generators

Grade = Literal["exact", "exact-clone", "restart"]
"""``exact``: a state of plain values continues it; ``exact-clone``: with the simulator's own copy
of itself; ``restart``: it can't be continued, open episodes end as truncated."""

STEPS_BEFORE = 24
STEPS_AFTER = 64

_NUM_ENVS = 2
_SEEDS = (11, 12)


def read_states(environment: VectorEnv) -> Any:
    """Return the state of a vector environment, of one in worker processes one for each.

    That of a worker with a fault, which another will replace, is None and can't be written.

    Raises:
        UnknownStateError: it can't be read.
    """
    workers = environment.unwrapped
    if not isinstance(workers, WorkerVectorEnv):
        return read_state(environment)
    return _known(workers.read_states())


def write_states(environment: VectorEnv, states: Any) -> None:
    """Put back what :func:`read_states` gave, in environments that were reset.

    Raises:
        UnknownStateError: they aren't like those that it was read from.
        Exception: whatever an environment raises that puts back its state itself.
    """
    workers = environment.unwrapped
    if isinstance(workers, WorkerVectorEnv):
        workers.set_attr("state_to_take", states)
        _known(workers.call("refusal"))
    else:
        write_state(environment, states)


def _known(answers: Sequence[Any]) -> list[Any]:
    """Return the answers of workers; the first error among them is raised."""
    for index, answer in enumerate(answers):
        if isinstance(answer, UnknownStateError):
            raise UnknownStateError(f"environment {index}: {answer}")
    return list(answers)


def find_grade(factory: Any) -> Grade:
    """Return how exactly the environments of a factory can be continued.

    Args:
        factory: an ``EnvironmentFactory``.
    """
    made: list[VectorEnv] = []
    shared = global_generators()
    try:
        for _ in range(2):
            made.append(factory.make_to_try(_NUM_ENVS))
        return _try(*made) if _are_of_its_kind(made, factory.id) else "restart"
    except Exception:  # whatever an environment raises that isn't made for this
        return "restart"
    finally:
        for environment in made:
            environment.close()
        set_global_generators(shared)


def _are_of_its_kind(made: list[VectorEnv], id: Any) -> bool:
    """Tell whether environments say something of a ``VectorEnv`` that was given, which trains."""
    if not isinstance(id, VectorEnv):
        return True
    return all(isinstance(one.unwrapped, type(id.unwrapped)) for one in made)


def _try(one: VectorEnv, other: VectorEnv) -> Grade:
    generator = np.random.default_rng(0)
    _, info = one.reset(seed=_seed(one, _SEEDS[0]))
    info = _walk(one, info, STEPS_BEFORE, generator)[-1]
    other.reset(seed=_seed(other, _SEEDS[1]))
    state = read_states(one)
    write_states(other, state)
    shared, given = global_generators(), []
    for each in (one, other):
        set_global_generators(shared)  # a run carries them too
        given.append([*_walk(each, info, STEPS_AFTER, np.random.default_rng(1)), each.reset()])
    if not _are_equal(*given):
        return "restart"
    return "exact-clone" if _has_clone(state) else "exact"


def _walk(
    environment: VectorEnv, info: dict[str, Any], num_steps: int, generator: np.random.Generator
) -> list[Any]:
    """Take random legal steps; return all that they gave, the last info at the end."""
    given: list[Any] = []
    for _ in range(num_steps):
        step = environment.step(_random_actions(environment, info, generator))
        info = step[-1]
        given.append(_copied(step))
    return [*given, info]


def _random_actions(
    environment: VectorEnv, info: dict[str, Any], generator: np.random.Generator
) -> np.ndarray:
    space: Any = environment.single_action_space
    chance = generator.random((environment.num_envs, int(space.n)))
    mask = info.get("action_mask")
    if mask is not None:
        chance = np.where(np.stack(list(mask)).astype(bool), chance, -1.0)
    return chance.argmax(axis=1) + int(space.start)


def _copied(step: Any) -> list[Any]:
    return [np.array(part) for part in step[:-1]] + [step[-1].get("action_mask")]


def _are_equal(one: Any, other: Any) -> bool:
    if all(isinstance(each, np.ndarray) and each.dtype == object for each in (one, other)):
        one, other = list(one), list(other)  # as of tensors, which NumPy doesn't compare
    if isinstance(one, (list, tuple)):
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(_are_equal(a, b) for a, b in pairs)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_are_equal(one[k], other[k]) for k in one)
    try:
        return bool(np.array_equal(one, other, equal_nan=True))
    except TypeError:  # of things that can't be NaN
        return bool(np.array_equal(one, other))


def _has_clone(state: Any) -> bool:
    if isinstance(state, dict):
        return "clone" in state or any(map(_has_clone, state.values()))
    return isinstance(state, list) and any(map(_has_clone, state))


def _seed(environment: VectorEnv, seed: int) -> Any:
    is_list = isinstance(environment.unwrapped, gym.vector.SyncVectorEnv)
    return [seed + 100 * i for i in range(environment.num_envs)] if is_list else seed


class StateInWorker(gym.Wrapper):
    """Reads and writes the state of an environment that lives in a worker process.

    The worker knows by itself that an episode has ended and the next step begins another one,
    which no state could tell it; so a step after the end begins one here too.
    """

    def __init__(self, environment: gym.Env) -> None:
        super().__init__(environment)
        self.refusal: UnknownStateError | None = None
        self._has_ended = False

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        self._has_ended = False
        return self.env.reset(**kwargs)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Take a step, or begin an episode after the end of one."""
        if self._has_ended:
            observation, info = self.reset()
            return observation, 0.0, False, False, info
        given = parts(self.env.step(action), STEP)
        observation, reward, terminated, truncated, info = given
        ends = (as_end("terminated", terminated), as_end("truncated", truncated))
        self._has_ended = any(ends)
        return observation, reward, terminated, truncated, info

    def read_state(self) -> Any:
        """Return the state, or why it can't be read: what is raised here ends the worker."""
        try:
            return {"environment": read_state(self.env), "has_ended": self._has_ended}
        except UnknownStateError as error:
            return error

    @property
    def state_to_take(self) -> None:
        """What is set here is taken back; :attr:`refusal` tells why it couldn't be."""
        return None

    @state_to_take.setter
    def state_to_take(self, state: Any) -> None:
        try:
            if state is None:
                raise UnknownStateError("its state wasn't saved")
            write_state(self.env, state["environment"])
            self._has_ended = state["has_ended"]
            self.refusal = None
        except UnknownStateError as error:
            self.refusal = error
