"""Making environments of an id or a function: natively, in turn or in processes; what they are.

In all of it ``id`` is a gymnasium id or a function that returns a new ``gymnasium.Env``, ``kwargs``
are arguments for either, and ``wrappers`` stand around each environment, innermost first.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import gymnasium as gym
from gymnasium.vector import AutoresetMode, VectorEnv

from lightning_dqn.environments.apart import refuse_shared
from lightning_dqn.environments.exact import describe_observation
from lightning_dqn.environments.families import (
    VECTOR_ENTRY_POINTS,
    family_of,
    missing_extra,
    registered,
)
from lightning_dqn.environments.gate import tell_of_methods
from lightning_dqn.environments.grade import StateInWorker
from lightning_dqn.environments.shapes import ShapedVectorEnv
from lightning_dqn.environments.spec import LIFE_LOST, EnvironmentSpec
from lightning_dqn.environments.workers import WorkerVectorEnv
from lightning_dqn.environments.wrapping import wrap
from lightning_dqn.system.faults import first_line

Id = str | Callable[[], gym.Env]
Kwargs = Mapping[str, Any]
Wrappers = Sequence[Callable[[gym.Env], gym.Env]]


def name_of(id: Id | VectorEnv) -> str:
    """Return how messages call what environments are made of."""
    if isinstance(id, str):
        return id
    spec = getattr(id, "spec", None)
    return spec.id if spec is not None else getattr(id, "__name__", type(id).__name__)


def has_native_entry_point(id: Id | VectorEnv) -> bool:
    """Return whether there is a vector form of its own that is the same task as one environment."""
    if not isinstance(id, str):
        return False
    record = registered(id)
    return record.vector_entry_point is not None and not family_of(record.id).differs_as_vector


def has_single_entry_point(id: Id | VectorEnv) -> bool:
    """Return whether one environment can be made by itself."""
    return not isinstance(id, str) or registered(id).entry_point is not None


def is_native_the_same(id: str, kwargs: Kwargs) -> bool:
    """Return whether the environment's own vector form gives what one environment does.

    Its makers may have put wrappers around it that none has; our own are alike.
    """
    if not has_single_entry_point(id) or registered(id).id in VECTOR_ENTRY_POINTS:
        return True
    native, one = make_native(id, kwargs, 1), make_single(id, kwargs, ())
    try:
        is_same_action = native.single_action_space == one.action_space
        return is_same_action and native.single_observation_space == one.observation_space
    finally:
        native.close()
        one.close()


def make_native(id: str, kwargs: Kwargs, num_envs: int) -> VectorEnv:
    """Make environments by their own vector entry point.

    Raises:
        ValueError: an extra is missing, or an argument isn't theirs.
    """
    with _its_errors_explained(id, kwargs):
        return gym.make_vec(id, num_envs, vectorization_mode="vector_entry_point", **kwargs)


def make_in_turn(id: Id, kwargs: Kwargs, wrappers: Wrappers, num_envs: int) -> VectorEnv:
    """Make environments that are stepped in turn, in this process.

    Raises:
        ValueError: see :func:`make_single`; also if a function gave one of them twice.
    """
    # Makers stay in the environment, and a partial is none of its state: environments/state.py.
    environment = ShapedVectorEnv([partial(make_single, id, kwargs, wrappers)] * num_envs)
    refuse_shared(environment, name_of(id))
    return environment


def make_in_workers(
    id: Id,
    kwargs: Kwargs,
    wrappers: Wrappers,
    num_envs: int,
    *,
    timeout: float | None,
    max_restarts: int,
) -> VectorEnv:
    """Make environments in a process each; see :class:`WorkerVectorEnv`."""
    return WorkerVectorEnv(
        [partial(_make_single_in_worker, id, kwargs, wrappers)] * num_envs,
        name=name_of(id),
        timeout=timeout,
        max_restarts=max_restarts,
    )


def make_single(id: Id, kwargs: Kwargs, wrappers: Wrappers) -> gym.Env:
    """Make one environment in its wrappers.

    Raises:
        ValueError: see :func:`make_bare` and :func:`lightning_dqn.environments.wrapping.wrap`.
    """
    return wrap(make_bare(id, kwargs), wrappers, name_of(id))


def _make_single_in_worker(id: Id, kwargs: Kwargs, wrappers: Wrappers) -> gym.Env:
    return StateInWorker(make_single(id, kwargs, wrappers))


def make_bare(id: Id, kwargs: Kwargs) -> gym.Env:
    """Make one environment, in those wrappers alone that its own makers give it.

    Raises:
        ValueError: it isn't registered, an extra is missing, an argument isn't its own, or a
            function gave something else.
    """
    if not isinstance(id, str):
        environment = id(**kwargs)
        if not isinstance(environment, gym.Env):
            kind = type(environment).__name__
            raise ValueError(f"id={name_of(id)}: gave a {kind}, not a gymnasium.Env")
        return environment
    registered(id)
    with _its_errors_explained(id, kwargs):
        return gym.make(id, disable_env_checker=True, **kwargs)


def drawn_kwargs(id: Id | VectorEnv, kwargs: Kwargs, render_mode: str) -> dict[str, Any]:
    """Return the arguments by which environments are made that render.

    Raises:
        ValueError: a ``VectorEnv`` was given, or a function takes no render mode.
    """
    if isinstance(id, VectorEnv):
        raise ValueError(
            f"id={name_of(id)}: others like this VectorEnv can't be made to render; name an id "
            "or a function"
        )
    drawn = {**kwargs, "render_mode": render_mode}
    if not isinstance(id, str):
        _check_takes(id, drawn)
    return drawn


def _check_takes(function: Callable[[], gym.Env], kwargs: Kwargs) -> None:
    """Refuse a render mode for a function that doesn't take one."""
    try:
        inspect.signature(function).bind(**kwargs)
    except TypeError as error:
        raise ValueError(
            f"id={name_of(function)}: this function takes no render_mode, so that what it makes "
            f"can't be shown ({error}); let it take one and hand it on"
        ) from error
    except ValueError:  # some written in C tell nothing of their arguments
        return


def describe(
    environment: VectorEnv, info: Mapping[str, Any], *, name: str, frame_stack: int
) -> EnvironmentSpec:
    """Return shapes and types of what was made.

    Args:
        environment: one or more.
        info: of its reset.
        name: how messages call it.
        frame_stack: S.

    Raises:
        ValueError: it isn't one for DQN.
    """
    actions = environment.single_action_space
    if not isinstance(actions, gym.spaces.Discrete):
        raise ValueError(
            f"id={name}: its action space is {actions}, but DQN needs Discrete actions; "
            "choose another environment or name a wrapper that makes them discrete"
        )
    if "action_mask" not in info:
        tell_of_methods(environment, name)
    shape, dtype, num_states = describe_observation(environment.single_observation_space, name)
    return EnvironmentSpec(
        observation_shape=shape,
        observation_dtype=dtype,
        num_actions=int(actions.n),
        num_states=num_states,
        has_action_mask="action_mask" in info,
        frame_stack=frame_stack,
        zero_sum_turns=bool(environment.metadata.get("zero_sum_turns")),
        game=environment.metadata.get("game"),
        action_start=int(actions.start),
        has_life_losses=LIFE_LOST in info,
    )


def check_autoreset_mode(environment: VectorEnv, name: str) -> None:
    """Refuse environments that begin an episode otherwise than in a step of its own.

    Raises:
        ValueError: with the remedy.
    """
    mode = _autoreset_mode(environment)
    if mode is not AutoresetMode.NEXT_STEP:
        raise ValueError(
            f"id={name}: its autoreset mode is {mode}, but replay needs "
            "AutoresetMode.NEXT_STEP; pass that as autoreset_mode where it is made"
        )


def _autoreset_mode(environment: VectorEnv) -> Any:
    """Return the mode that an environment has itself; its metadata may be another's too.

    The dict of metadata belongs to a class, and some write into that of all vector environments.
    """
    own = getattr(environment.unwrapped, "autoreset_mode", None)
    told = environment.metadata.get("autoreset_mode")
    return own if isinstance(own, AutoresetMode) else told


def about_what_is_given(given: Any) -> str:
    """Return why something is no way to make environments, and what is."""
    spec = getattr(given, "spec", given)
    name = getattr(spec, "id", None) or type(given).__name__
    made = f"pass its id or a function that makes one, as lambda: gymnasium.make({name!r})"
    if isinstance(given, gym.Env):
        return f"id={name}: one environment is no way to make the others that are needed; {made}"
    if isinstance(given, Mapping):
        return f"id={given!r}: a mapping needs a key _target_: lightning_dqn.EnvironmentFactory"
    return f"id={given!r}: expected an id, a function that makes an environment, or a VectorEnv"


@contextmanager
def _its_errors_explained(id: str, kwargs: Kwargs) -> Iterator[None]:
    """Say of what gymnasium raises where it makes environments which extra or argument it is."""
    try:
        yield
    except (ImportError, gym.error.DependencyNotInstalled) as error:
        raise ValueError(missing_extra(id, error)) from error
    except (TypeError, ValueError) as error:
        raise ValueError(_about_kwargs(error, kwargs)) from error


def _about_kwargs(error: Exception, kwargs: Kwargs) -> str:
    """Return what an environment says of its arguments, without gymnasium's own words."""
    text = first_line(error)
    text = text.partition(" was raised from the environment creator")[0]
    if text.startswith(tuple(f"{name}=" for name in kwargs)):
        return f"kwargs.{text}"
    return f"kwargs={dict(kwargs)}: {text}" if isinstance(error, TypeError) else text
