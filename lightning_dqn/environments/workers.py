"""Environments in processes of their own, which may fail, die or hang while the run goes on.

Shapes: E environments.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import gymnasium as gym
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode
from gymnasium.vector.async_vector_env import AsyncState
from gymnasium.vector.utils import (
    batch_space,
    create_shared_memory,
    iterate,
    read_from_shared_memory,
)

from lightning_dqn.environments.declared import expected_shape
from lightning_dqn.environments.infos import gathered
from lightning_dqn.environments.worker_faults import CLOSING_SECONDS, RESTARTED, WorkerFault
from lightning_dqn.environments.worker_pool import WhileWaiting, WorkerPool


class WorkerVectorEnv(AsyncVectorEnv):
    """Environments in a process each, stepped at once, in NEXT_STEP mode.

    One that fails, dies or hangs in a step gets a new worker while the others go on: its episode
    ends as truncated with the observation it had, the reward 0 and ``info[RESTARTED]``,
    and the next step begins another by a seed drawn from its last one. So does one that doesn't
    tell its state. What fails before the first step of its worker, or in :meth:`call`, ends all.

    Args:
        makers: functions that make the environments, whose observations are arrays or numbers.
        name: how messages call the environment.
        timeout: seconds after which a worker that doesn't answer counts as hanging, five times
            as many where it makes or resets its environment; None waits for ever.
        max_restarts: of all workers together.

    Attributes:
        while_waiting: called every quarter of a second in which a worker is waited for, with the
            seconds since it was asked and the most that any took before for the like. What it
            raises ends all workers and leaves the call.
        newest: [E, *shape], the observations returned last.
        single_spec: what gymnasium knows of one environment, or None.

    Raises:
        WorkerError: naming environment and cause; all workers have ended.
    """

    while_waiting: WhileWaiting | None = None
    observations: Any

    def __init__(
        self,
        makers: Sequence[Callable[[], gym.Env]],
        *,
        name: str,
        timeout: float | None = 60.0,
        max_restarts: int = 10,
    ) -> None:
        self.env_fns = makers
        self.num_envs = len(makers)
        self.name = name
        self._pool = WorkerPool(makers, name=name, timeout=timeout, max_restarts=max_restarts)
        self._state = AsyncState.DEFAULT
        self._describe()
        context = cast(Any, multiprocessing.get_context())
        memory = create_shared_memory(self.single_observation_space, n=self.num_envs, ctx=context)
        self.observations = read_from_shared_memory(
            self.single_observation_space, memory, n=self.num_envs
        )
        self.newest = self.observations.copy()
        self._ended = np.zeros(self.num_envs, bool)
        with self._all_or_none():
            self._pool.start(context, memory)
            self._check_spaces()

    @property
    def processes(self) -> list[Any]:  # type: ignore[override]
        """The workers' processes."""
        return self._pool.processes

    @property
    def num_restarts(self) -> int:
        """Workers that were replaced so far."""
        return self._pool.restarts.number

    def reset_async(self, seed: Any = None, options: dict[str, Any] | None = None) -> None:
        """Ask for first observations; see :meth:`gymnasium.vector.VectorEnv.reset`."""
        if seed is None or isinstance(seed, int):
            seed = [None if seed is None else seed + i for i in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise ValueError(f"seed={seed}: expected one for each of {self.num_envs} environments")
        self._pool.seeds = list(seed)
        self._ask([("reset", {"seed": one, "options": options}) for one in seed])

    def reset_wait(self, timeout: float | None = None) -> tuple[Any, dict[str, Any]]:
        """Return the first observations and infos."""
        with self._all_or_none():
            infos = [
                self._insist(index, info, seed_anew=False)
                for index, info in enumerate(self._answers(timeout))
            ]
        self._ended = np.zeros(self.num_envs, bool)
        self.newest = self.observations.copy()
        return self.newest, gathered(infos)

    def step_async(self, actions: Any) -> None:
        """Ask for a step; an environment whose episode has ended begins another."""
        chosen: Any = iterate(self.action_space, actions)
        self._ask(
            [
                ("reset", {"seed": self._pool.seed_of(index)}) if ended else ("step", action)
                for index, (ended, action) in enumerate(zip(self._ended, chosen, strict=True))
            ]
        )

    def step_wait(self, timeout: float | None = None) -> tuple[Any, ...]:
        """Return observations, rewards, terminations, truncations and infos."""
        reward = np.zeros(self.num_envs)
        terminated, truncated = np.zeros((2, self.num_envs), bool)
        infos = []
        with self._all_or_none():
            for index, answer in enumerate(self._answers(timeout)):
                if self._ended[index]:
                    info = self._insist(index, answer, seed_anew=True)
                elif isinstance(answer, WorkerFault):
                    info, truncated[index] = self._cut(index, answer), True
                else:
                    reward[index], terminated[index], truncated[index], info = answer
                    self._pool.workers[index].has_stepped = True
                infos.append(info)
        self._ended = terminated | truncated
        self.newest = self.observations.copy()
        return self.newest, reward, terminated, truncated, gathered(infos)

    def call_async(self, name: str, /, *args: object, **kwargs: object) -> None:
        """Ask for what a method, or an attribute, of each gives."""
        self._ask([("call", (name, args, kwargs))] * self.num_envs)

    def call_wait(self, timeout: float | None = None) -> tuple[Any, ...]:
        """Return what the methods gave."""
        return self._all_answers(timeout)

    def read_states(self) -> list[Any]:
        """Return what the ``read_state`` of each gives; None: it has a fault, for the next step."""
        self._ask([("call", ("read_state", (), {}))] * self.num_envs)
        with self._all_or_none():
            return [None if isinstance(one, WorkerFault) else one for one in self._answers()]

    def set_attr(self, name: str, values: Any) -> None:
        """Set an attribute of each to its value of a list or a tuple, or of all to one value."""
        if not isinstance(values, list | tuple):
            values = [values] * self.num_envs
        if len(values) != self.num_envs:
            raise ValueError(f"values={values}: expected one for each of {self.num_envs}")
        self._ask([("set", (name, value)) for value in values])
        self._all_answers()

    def close_extras(self, timeout: float | None = None, terminate: bool = False) -> None:
        """Ask the workers to end, and make them if they don't.

        Args:
            timeout: seconds that they have; None: 5.
            terminate: don't ask.
        """
        grace = CLOSING_SECONDS if timeout is None else timeout
        self._pool.end(None if terminate else grace)

    # --- asking

    def _ask(self, commands: list[tuple[str, Any]]) -> None:
        """Send each worker its command."""
        self._assert_is_running()
        self._pool.check_free()
        with self._all_or_none():
            self._pool.ask(commands)

    def _answers(self, timeout: float | None = None) -> Iterator[Any]:
        """Return the answers of the workers, or their faults, one by one."""
        self._assert_is_running()
        return self._pool.answers(timeout, self._let_others)

    def _all_answers(self, timeout: float | None = None) -> tuple[Any, ...]:
        """Return the answers; a fault ends all."""
        with self._all_or_none():
            answers = tuple(self._answers(timeout))
            for index, answer in enumerate(answers):
                if isinstance(answer, WorkerFault):
                    raise self._pool.error(index, answer)
        return answers

    def _insist(self, index: int, answer: Any, *, seed_anew: bool) -> Any:
        """Return the answer to a reset; of a new worker where there is none."""
        return self._pool.insist(index, answer, seed_anew=seed_anew, while_waiting=self._let_others)

    def _cut(self, index: int, fault: WorkerFault) -> dict[str, Any]:
        """End an episode where it stands."""
        self._pool.replace(index, fault)
        self.observations[index] = self.newest[index]
        return {RESTARTED: True}

    def _let_others(self, waited: float, longest: float) -> None:
        # A function that was set on the class is no method.
        function = vars(self).get("while_waiting", type(self).while_waiting)
        if function is not None:
            function(waited, longest)

    @contextmanager
    def _all_or_none(self) -> Iterator[None]:
        """End all workers where something goes wrong: answers may be under way."""
        try:
            yield
        except BaseException:
            self.close(terminate=True)
            raise

    # --- what they are

    def _describe(self) -> None:
        """Read the spaces from an environment that is made and closed."""
        one = self.env_fns[0]()
        try:
            # Their metadata may be of the class.
            self.metadata = {**one.metadata, "autoreset_mode": AutoresetMode.NEXT_STEP}
            self.render_mode = one.render_mode
            self.single_observation_space = one.observation_space
            self.single_action_space = one.action_space
            self.single_spec = one.spec  # it needn't be picklable, so nobody asks a worker for it
        finally:
            one.close()
        if expected_shape(self.single_observation_space) is None:
            raise ValueError(f"{self.name}: {self.single_observation_space} isn't one array")
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

    def _check_spaces(self) -> None:
        """Refuse environments that differ; the first exchange: have they all been made?"""
        spaces = (self.single_observation_space, self.single_action_space)
        self._ask([("spaces", spaces)] * self.num_envs)
        for index, same in enumerate(self._all_answers()):
            if not all(same):
                raise ValueError(
                    f"{self.name}: environment {index} has other observations or actions than "
                    f"environment 0, {spaces[0]} and {spaces[1]}; make all of one kind"
                )
