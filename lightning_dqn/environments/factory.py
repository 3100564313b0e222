"""Environments as gymnasium vector environments in NEXT_STEP mode, and what they look like.

After an episode's end such an environment returns the final observation; the next call ignores
the action and returns the first observation of a new episode. Everything later relies on it.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import gymnasium as gym
from gymnasium.vector import SyncVectorEnv, VectorEnv, VectorWrapper

from lightning_dqn.environments.grade import Grade, find_grade
from lightning_dqn.environments.images import ImageFormat
from lightning_dqn.environments.making import (
    about_what_is_given,
    check_autoreset_mode,
    describe,
    drawn_kwargs,
    has_native_entry_point,
    has_single_entry_point,
    is_native_the_same,
    make_in_turn,
    make_in_workers,
    make_native,
    name_of,
)
from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.environments.wrapping import as_wrappers, refuse_vector_statistics
from lightning_dqn.system.numbers import whole_number
from lightning_dqn.system.ranks import Ranks

Vectorization = Literal["auto", "native", "sync", "async"]

_TRIAL_SECONDS = 10.0
"""In which a worker that is tried must answer."""


class EnvironmentFactory:
    """Makes vector environments of one kind: for training, for evaluation.

    Args:
        id: a gymnasium id (``"module:Name-v0"`` imports the module first), a function that
            returns a new ``gymnasium.Env``, or a ``VectorEnv``.
        num_envs: E, how many environments the training steps at once.
        vectorization: ``"native"`` takes the environment's own vector entry point, ``"sync"``
            steps copies in turn, ``"async"`` in processes; ``"auto"`` is native where it exists, is
            the same task as one environment, and nothing wraps that, else sync.
        frame_stack: S, the number of newest frames that one observation holds.
        wrappers: functions from ``Env`` to ``Env``, or their dotted names, innermost first.
            Returns are told of the environment's own rewards, and beside them of those that
            wrappers made.
        image: the form of pictures, after all wrappers: ``gray``, ``size`` and ``channels``, see
            :class:`lightning_dqn.environments.images.ImageFormat`.
        kwargs: arguments for the environment.
        worker_timeout: seconds after which an environment in a process (``"async"``) that doesn't
            answer a step counts as hanging, five times as many where it is made or reset; None
            waits for ever.
        max_worker_restarts: how often processes (``"async"``) that failed, died or hung are
            replaced, those of one vector environment together; the next such fault ends the run.

    Raises:
        ValueError: the environment isn't registered, lacks an extra, or isn't one for DQN.
    """

    def __init__(
        self,
        id: str | Callable[[], gym.Env] | VectorEnv,
        *,
        num_envs: int = 8,
        vectorization: Vectorization = "auto",
        frame_stack: int = 1,
        wrappers: Sequence[Callable[[gym.Env], gym.Env] | str] = (),
        image: ImageFormat | Mapping[str, Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        worker_timeout: float | None = 60.0,
        max_worker_restarts: int = 10,
    ) -> None:
        if not (isinstance(id, str | VectorEnv) or callable(id)):
            raise ValueError(about_what_is_given(id))
        num_envs = whole_number("num_envs", num_envs, least=1)
        own_wrappers = as_wrappers(wrappers)
        if isinstance(id, VectorEnv):
            _check_stepped_as_it_is(
                id,
                num_envs=num_envs,
                vectorization=vectorization,
                wrappers=own_wrappers,
                image=image,
                kwargs=kwargs or None,
            )
        if vectorization not in ("auto", "native", "sync", "async"):
            raise ValueError(f"vectorization={vectorization!r}: choose auto, native, sync or async")
        self.id = id
        self.num_envs = id.num_envs if isinstance(id, VectorEnv) else num_envs
        self.vectorization = vectorization
        self.frame_stack = whole_number("frame_stack", frame_stack, least=1)
        form = ImageFormat.of(image)
        self.wrappers = (*own_wrappers, *(() if form.changes_nothing else (form.wrap,)))
        self.kwargs = dict(kwargs or {})
        if worker_timeout is not None and not worker_timeout > 0:
            raise ValueError(f"worker_timeout={worker_timeout}: above 0 seconds, or null")
        self._says_restart = False
        self.worker_timeout = None if worker_timeout is None else float(worker_timeout)
        self.max_worker_restarts = whole_number("max_worker_restarts", max_worker_restarts)

    @classmethod
    def of(cls, environment: EnvironmentLike, **kwargs: Any) -> EnvironmentFactory:
        """Return ``environment`` itself if it is a factory, else a factory of it."""
        return environment if isinstance(environment, cls) else cls(environment, **kwargs)  # type: ignore[arg-type]

    @property
    def name(self) -> str:
        """How messages call the environment."""
        return name_of(self.id)

    @cached_property
    def spec(self) -> EnvironmentSpec:
        """Shapes and types, read from one environment that is made, reset and closed.

        It is of the kind that is stepped: a native one may differ from the single one of its id.
        """
        if isinstance(self.id, VectorEnv):
            refuse_vector_statistics(self.id, self.name)
            return self._describe(self.id)
        is_native = self._takes_native(self.vectorization)
        environment = self.make(1) if is_native else self.make_one()
        try:
            return self._describe(environment)
        finally:
            environment.close()

    def _describe(self, environment: VectorEnv) -> EnvironmentSpec:
        _, info = environment.reset(seed=0)
        self._says_restart = environment.metadata.get("resume") == "restart"
        return describe(environment, info, name=self.name, frame_stack=self.frame_stack)

    def make(
        self, num_envs: int | None = None, *, vectorization: Vectorization | None = None
    ) -> VectorEnv:
        """Make ``num_envs`` environments stepped as one.

        Args:
            num_envs: how many; None makes those for training: ``self.num_envs``, or the
                ``VectorEnv`` itself if that is what was given.
            vectorization: instead of ``self.vectorization``.

        Raises:
            ValueError: see the class; also if a ``VectorEnv`` was given that others can't be
                made like.
        """
        if isinstance(self.id, VectorEnv):
            if self.id.closed:
                raise ValueError(f"id={self.name}: this VectorEnv is closed; make another one")
            environment = self.id if num_envs is None else self._like(self.id, num_envs)
        else:
            environment = self._make(num_envs or self.num_envs, vectorization or self.vectorization)
        check_autoreset_mode(environment, self.name)
        return environment

    def shared(self, ranks: Ranks) -> EnvironmentFactory:
        """Return a factory of one rank's part of these environments.

        Raises:
            ValueError: a ``VectorEnv`` was given, which can't be parted, or they can't be evenly.
        """
        if not ranks.are_several:
            return self
        if isinstance(self.id, VectorEnv):
            raise ValueError(
                f"id={self.name}: several ranks can't part one VectorEnv among them; pass an id "
                "or a function"
            )
        part = copy.copy(self)
        part.num_envs = ranks.even_share("num_envs", self.num_envs)
        return part

    @cached_property
    def grade(self) -> Grade:
        """How exactly these environments can be continued from a checkpoint.

        One whose metadata say ``"resume": "restart"`` isn't tried, for what it costs to make.
        """
        return "restart" if self.spec and self._says_restart else find_grade(self)

    def make_to_try(self, num_envs: int) -> VectorEnv:
        """Make environments like those for training, to see what they do.

        Those that work in processes do so here too, for they may fail or hang; then they do, soon.

        Raises:
            ValueError: see :meth:`make`.
        """
        tried = copy.copy(self)
        tried.max_worker_restarts = 0
        tried.worker_timeout = min(self.worker_timeout or _TRIAL_SECONDS, _TRIAL_SECONDS)
        return tried.make(num_envs)

    def make_one(self, render_mode: str | None = None) -> VectorEnv:
        """Make one environment, as a vector of one in this process, to look at.

        Args:
            render_mode: what its ``render`` gives, in a tuple of one; None as the factory has it.

        Raises:
            ValueError: see :meth:`make`; also if a render mode can't be handed on.
        """
        kwargs = self.kwargs
        if render_mode is not None:
            kwargs = drawn_kwargs(self.id, kwargs, render_mode)
        one = EnvironmentFactory(
            self.id, frame_stack=self.frame_stack, wrappers=self.wrappers, kwargs=kwargs
        )
        return one.make(1, vectorization="sync" if has_single_entry_point(self.id) else "native")

    def drawn(self, render_mode: str) -> EnvironmentFactory:
        """Return a factory of the same environments that are drawn, all in this process.

        Raises:
            ValueError: a render mode can't be handed on.
        """
        return EnvironmentFactory(
            self.id,
            num_envs=self.num_envs,
            vectorization="sync" if self.vectorization == "async" else self.vectorization,
            frame_stack=self.frame_stack,
            wrappers=self.wrappers,
            kwargs=drawn_kwargs(self.id, self.kwargs, render_mode),
        )

    def _like(self, environment: VectorEnv, num_envs: int) -> VectorEnv:
        """Make environments like the one given, which is busy training, from its record.

        What stands around it, or around the environments in it, must be in the record too.
        """
        record = environment.spec
        is_bare = not isinstance(environment, VectorWrapper)
        if record is not None and is_bare and not record.additional_wrappers:
            how = ("num_envs", "vectorization_mode", "vector_kwargs", "wrappers")
            kwargs = {name: value for name, value in record.kwargs.items() if name not in how}
            wrappers = record.kwargs.get("wrappers", ())
            factory = EnvironmentFactory(record.id, wrappers=wrappers, kwargs=kwargs)
            is_sync = isinstance(environment.unwrapped, SyncVectorEnv)
            made = factory.make(num_envs, vectorization="sync" if is_sync else "auto")
            if made.single_observation_space == environment.single_observation_space:
                return made
            made.close()
        raise ValueError(
            f"id={self.name}: this VectorEnv trains, and others like it to evaluate in can't be "
            "made from its record, with all wrappers; pass an id or a function as "
            "EvaluationConfig(environment=...)"
        )

    def _make(self, num_envs: int, vectorization: Vectorization) -> VectorEnv:
        assert not isinstance(self.id, VectorEnv)
        if vectorization == "native" and not self._has_native_entry_point():
            raise ValueError(
                f"vectorization=native: {self.name} has no vector entry point of its own that is "
                "the same task, or wrappers stand before it; choose auto, sync or async"
            )
        if self._takes_native(vectorization):
            return make_native(str(self.id), self.kwargs, num_envs)
        if not has_single_entry_point(self.id):
            raise ValueError(
                f"vectorization={vectorization}: {self.name} exists as a vector environment only; "
                "choose auto without wrappers"
            )
        if vectorization == "async":
            return make_in_workers(
                self.id,
                self.kwargs,
                self.wrappers,
                num_envs,
                timeout=self.worker_timeout,
                max_restarts=self.max_worker_restarts,
            )
        return make_in_turn(self.id, self.kwargs, self.wrappers, num_envs)

    def _takes_native(self, vectorization: Vectorization) -> bool:
        is_native = vectorization == "auto" and self._is_native_the_same
        return is_native or (vectorization == "native" and self._has_native_entry_point())

    def _has_native_entry_point(self) -> bool:
        return not self.wrappers and has_native_entry_point(self.id)

    @cached_property
    def _is_native_the_same(self) -> bool:
        return self._has_native_entry_point() and is_native_the_same(str(self.id), self.kwargs)


EnvironmentLike = str | Callable[[], gym.Env] | VectorEnv | EnvironmentFactory


def _check_stepped_as_it_is(environment: VectorEnv, **settings: Any) -> None:
    """Refuse what would have to be done where a vector environment is made."""
    parameters = inspect.signature(EnvironmentFactory.__init__).parameters
    of_itself = {"num_envs": environment.num_envs, "image": ImageFormat()}
    for name, value in settings.items():
        if value not in (parameters[name].default, of_itself.get(name)):
            raise ValueError(
                f"{name}={value!r}: a VectorEnv is stepped as it is, with {environment.num_envs} "
                f"environments; set {name} where it is made, or pass an id or a function in its "
                "place"
            )
