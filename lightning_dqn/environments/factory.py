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
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv, VectorWrapper

from lightning_dqn.environments.apart import refuse_shared
from lightning_dqn.environments.exact import describe_observation
from lightning_dqn.environments.families import (
    VECTOR_ENTRY_POINTS,
    family_of,
    missing_extra,
    registered,
)
from lightning_dqn.environments.gate import tell_of_methods
from lightning_dqn.environments.grade import Grade, StateInWorker, find_grade
from lightning_dqn.environments.images import ImageFormat
from lightning_dqn.environments.shapes import ShapedVectorEnv
from lightning_dqn.environments.spec import LIFE_LOST, EnvironmentSpec
from lightning_dqn.environments.workers import WorkerVectorEnv
from lightning_dqn.environments.wrapping import as_wrappers, refuse_vector_statistics, wrap
from lightning_dqn.system.faults import first_line
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
            raise ValueError(_about_what_is_given(id))
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
        if isinstance(self.id, str):
            return self.id
        spec = getattr(self.id, "spec", None)
        return spec.id if spec is not None else getattr(self.id, "__name__", type(self.id).__name__)

    @cached_property
    def spec(self) -> EnvironmentSpec:
        """Shapes and types, read from one environment that is made, reset and closed.

        It is of the kind that is stepped: a native one may differ from the single one of its id.
        """
        if isinstance(self.id, VectorEnv):
            refuse_vector_statistics(self.id, self.name)
            _, info = self.id.reset(seed=0)
            return self._describe(self.id, info)
        is_native = self._takes_native(self.vectorization)
        environment = self.make(1) if is_native else self.make_one()
        try:
            _, info = environment.reset(seed=0)
            return self._describe(environment, info)
        finally:
            environment.close()

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
        mode = _autoreset_mode(environment)
        if mode is not AutoresetMode.NEXT_STEP:
            raise ValueError(
                f"id={self.name}: its autoreset mode is {mode}, but replay needs "
                "AutoresetMode.NEXT_STEP; pass that as autoreset_mode where it is made"
            )
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
        kwargs = self.kwargs if render_mode is None else self._drawn_kwargs(render_mode)
        one = EnvironmentFactory(
            self.id, frame_stack=self.frame_stack, wrappers=self.wrappers, kwargs=kwargs
        )
        return one.make(1, vectorization="sync" if self._has_single_entry_point() else "native")

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
            kwargs=self._drawn_kwargs(render_mode),
        )

    def _drawn_kwargs(self, render_mode: str) -> dict[str, Any]:
        if isinstance(self.id, VectorEnv):
            raise ValueError(
                f"id={self.name}: others like this VectorEnv can't be made to render; name an id "
                "or a function"
            )
        kwargs = {**self.kwargs, "render_mode": render_mode}
        self._check_takes(kwargs)
        return kwargs

    def _check_takes(self, kwargs: Mapping[str, Any]) -> None:
        """Refuse a render mode for a function that doesn't take one."""
        assert not isinstance(self.id, VectorEnv)
        if isinstance(self.id, str):
            return
        try:
            inspect.signature(self.id).bind(**kwargs)
        except TypeError as error:
            raise ValueError(
                f"id={self.name}: this function takes no render_mode, so that what it makes can't "
                f"be shown ({error}); let it take one and hand it on"
            ) from error
        except ValueError:  # some written in C tell nothing of their arguments
            return

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
        if vectorization == "native" and not self._has_native_entry_point():
            raise ValueError(
                f"vectorization=native: {self.name} has no vector entry point of its own that is "
                "the same task, or wrappers stand before it; choose auto, sync or async"
            )
        if self._takes_native(vectorization):
            return self._make_native(num_envs)
        if not self._has_single_entry_point():
            raise ValueError(
                f"vectorization={vectorization}: {self.name} exists as a vector environment only; "
                "choose auto without wrappers"
            )
        copies = [self._make_one] * num_envs
        if vectorization == "async":
            return WorkerVectorEnv(
                [self._make_one_in_worker] * num_envs,
                name=self.name,
                timeout=self.worker_timeout,
                max_restarts=self.max_worker_restarts,
            )
        environment = ShapedVectorEnv(copies)
        refuse_shared(environment, self.name)
        return environment

    def _has_native_entry_point(self) -> bool:
        if not isinstance(self.id, str) or self.wrappers:
            return False
        record = registered(self.id)
        return record.vector_entry_point is not None and not family_of(record.id).differs_as_vector

    def _takes_native(self, vectorization: Vectorization) -> bool:
        is_native = vectorization == "auto" and self._is_native_the_same
        return is_native or (vectorization == "native" and self._has_native_entry_point())

    @cached_property
    def _is_native_the_same(self) -> bool:
        """Whether the environment's own vector form gives what one environment does.

        Its makers may have put wrappers around it that none has; our own are alike.
        """
        if not self._has_native_entry_point():
            return False
        if not self._has_single_entry_point() or registered(str(self.id)).id in VECTOR_ENTRY_POINTS:
            return True
        native, one = self._make_native(1), self._make_one()
        try:
            is_same_action = native.single_action_space == one.action_space
            return is_same_action and native.single_observation_space == one.observation_space
        finally:
            native.close()
            one.close()

    def _make_native(self, num_envs: int) -> VectorEnv:
        try:
            return gym.make_vec(
                str(self.id), num_envs, vectorization_mode="vector_entry_point", **self.kwargs
            )
        except (ImportError, gym.error.DependencyNotInstalled) as error:
            raise ValueError(missing_extra(str(self.id), error)) from error
        except (TypeError, ValueError) as error:
            raise ValueError(_about_kwargs(error, self.kwargs)) from error

    def _has_single_entry_point(self) -> bool:
        return not isinstance(self.id, str) or registered(self.id).entry_point is not None

    def _make_one(self) -> gym.Env:
        if isinstance(self.id, str):
            registered(self.id)
            try:
                environment = gym.make(self.id, disable_env_checker=True, **self.kwargs)
            except (ImportError, gym.error.DependencyNotInstalled) as error:
                raise ValueError(missing_extra(self.id, error)) from error
            except (TypeError, ValueError) as error:
                raise ValueError(_about_kwargs(error, self.kwargs)) from error
        else:
            assert not isinstance(self.id, VectorEnv)
            environment = self.id(**self.kwargs)
            if not isinstance(environment, gym.Env):
                raise ValueError(
                    f"id={self.name}: gave a {type(environment).__name__}, not a gymnasium.Env"
                )
        return wrap(environment, self.wrappers, self.name)

    def _make_one_in_worker(self) -> gym.Env:
        return StateInWorker(self._make_one())

    def _describe(self, environment: VectorEnv, info: Mapping[str, Any]) -> EnvironmentSpec:
        actions = environment.single_action_space
        if not isinstance(actions, gym.spaces.Discrete):
            raise ValueError(
                f"id={self.name}: its action space is {actions}, but DQN needs Discrete actions; "
                "choose another environment or name a wrapper that makes them discrete"
            )
        if "action_mask" not in info:
            tell_of_methods(environment, self.name)
        self._says_restart = environment.metadata.get("resume") == "restart"
        shape, dtype, num_states = describe_observation(
            environment.single_observation_space, self.name
        )
        return EnvironmentSpec(
            observation_shape=shape,
            observation_dtype=dtype,
            num_actions=int(actions.n),
            num_states=num_states,
            has_action_mask="action_mask" in info,
            frame_stack=self.frame_stack,
            zero_sum_turns=bool(environment.metadata.get("zero_sum_turns")),
            game=environment.metadata.get("game"),
            action_start=int(actions.start),
            has_life_losses=LIFE_LOST in info,
        )


EnvironmentLike = str | Callable[[], gym.Env] | VectorEnv | EnvironmentFactory


def _autoreset_mode(environment: VectorEnv) -> Any:
    """Return the mode that an environment has itself; its metadata may be another's too.

    The dict of metadata belongs to a class, and some write into that of all vector environments.
    """
    own = getattr(environment.unwrapped, "autoreset_mode", None)
    told = environment.metadata.get("autoreset_mode")
    return own if isinstance(own, AutoresetMode) else told


def _about_what_is_given(given: Any) -> str:
    """Return why something is no way to make environments, and what is."""
    spec = getattr(given, "spec", given)
    name = getattr(spec, "id", None) or type(given).__name__
    made = f"pass its id or a function that makes one, as lambda: gymnasium.make({name!r})"
    if isinstance(given, gym.Env):
        return f"id={name}: one environment is no way to make the others that are needed; {made}"
    if isinstance(given, Mapping):
        return f"id={given!r}: a mapping needs a key _target_: lightning_dqn.EnvironmentFactory"
    return f"id={given!r}: expected an id, a function that makes an environment, or a VectorEnv"


def _about_kwargs(error: Exception, kwargs: Mapping[str, Any]) -> str:
    """Return what an environment says of its arguments, without gymnasium's own words."""
    text = first_line(error)
    text = text.partition(" was raised from the environment creator")[0]
    if text.startswith(tuple(f"{name}=" for name in kwargs)):
        return f"kwargs.{text}"
    return f"kwargs={dict(kwargs)}: {text}" if isinstance(error, TypeError) else text


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
