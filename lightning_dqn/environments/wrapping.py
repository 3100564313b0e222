"""What wrappers do that has to be known: they change rewards, and keep statistics of their own."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, SupportsFloat

import gymnasium as gym
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv, VectorEnv, VectorWrapper

from lightning_dqn.environments.declared import as_reward
from lightning_dqn.system.faults import first_line

OWN_REWARD = "lightning_dqn/own_reward"
"""Where ``info`` holds what the environment itself gave, before wrappers."""

_AS = "as wrappers=[gymnasium.wrappers.FlattenObservation]"

_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", re.ASCII)

_STATISTICS = ("obs_rms", "return_rms")
"""What gymnasium's wrappers call the running statistics that they keep."""


def as_wrappers(given: Any) -> tuple[Callable[[gym.Env], gym.Env], ...]:
    """Return functions from ``Env`` to ``Env``, those included that are given by dotted names.

    Raises:
        ValueError: one is neither, or there is nothing of that name to call.
    """
    if isinstance(given, str | Mapping) or not isinstance(given, Iterable):
        raise ValueError(f"wrappers={given!r}: expected a list, {_AS}")
    return tuple(_named(one) if isinstance(one, str) else _called(one) for one in given)


def _named(name: str) -> Callable[[gym.Env], gym.Env]:
    if not _DOTTED.fullmatch(name):
        raise ValueError(f"wrappers={name}: expected a dotted name, {_AS}")
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except Exception as error:  # whatever a module may raise
        raise ValueError(f"wrappers={name}: {first_line(error)}") from error
    if not callable(found):
        raise ValueError(f"wrappers={name}: there is nothing of that name to call")
    return found


def _called(given: Any) -> Callable[[gym.Env], gym.Env]:
    if not callable(given):
        raise ValueError(f"wrappers={given!r}: expected functions from Env to Env, {_AS}")
    return given


def wrap(
    environment: gym.Env, wrappers: Sequence[Callable[[gym.Env], gym.Env]], name: str
) -> gym.Env:
    """Return the environment in its wrappers, with its own reward as ``info[OWN_REWARD]``.

    That is the sum since the last step, however often a wrapper stepped it.

    Args:
        environment: innermost.
        wrappers: functions from ``Env`` to ``Env``, innermost first.
        name: how messages call the environment.

    Raises:
        ValueError: a wrapper raised an error or gave no environment, or one keeps running
            statistics.
    """
    counted = _CountReward(environment)
    wrapped: gym.Env = counted if wrappers else environment
    for wrapper in wrappers:
        wrapped = _wrapped(wrapped, wrapper)
        if not isinstance(wrapped, gym.Env):
            kind = type(wrapped).__name__
            raise ValueError(f"wrappers: {wrapper} gave a {kind}, not a gymnasium.Env")
    for layer in layers_of(wrapped):
        _refuse_statistics(layer, name)
    return _TellReward(wrapped, counted) if wrappers else wrapped


def _wrapped(environment: gym.Env, wrapper: Callable[[gym.Env], gym.Env]) -> gym.Env:
    try:
        return wrapper(environment)
    except Exception as error:  # whatever a wrapper may raise
        called = getattr(wrapper, "__qualname__", repr(wrapper))
        raise ValueError(
            f"wrappers: {called} couldn't be put around the environment: {first_line(error)}; "
            f"if it takes arguments, pass functools.partial({called}, ...), on the command line "
            "{_target_: ..., _partial_: true, ...}"
        ) from error


def refuse_vector_statistics(environment: VectorEnv, name: str) -> None:
    """Refuse a ``VectorEnv`` whose wrappers keep running statistics, outside or inside.

    Raises:
        ValueError: naming the wrapper.
    """
    while isinstance(environment, VectorWrapper):
        _refuse_statistics(environment, name)
        environment = environment.env
    if isinstance(environment, SyncVectorEnv):
        for layer in layers_of(environment.envs[0]):
            _refuse_statistics(layer, name)
    if isinstance(environment, AsyncVectorEnv):
        for attribute in _STATISTICS:
            if any(environment.call("has_wrapper_attr", attribute)):
                raise ValueError(_about_statistics(name, f"a wrapper with {attribute}"))


def layers_of(environment: gym.Env) -> Iterator[gym.Env]:
    """Yield an environment with its wrappers, the outermost first."""
    yield environment
    while isinstance(environment, gym.Wrapper):
        environment = environment.env
        yield environment


def _refuse_statistics(layer: gym.Env | VectorEnv, name: str) -> None:
    if any(attribute in vars(layer) for attribute in _STATISTICS):
        raise ValueError(_about_statistics(name, type(layer).__name__))


def _about_statistics(name: str, wrapper: str) -> str:
    return (
        f"wrappers: {wrapper} around {name} keeps running statistics, which evaluation, a "
        "checkpoint and an exported network would not share; scale by fixed numbers, as "
        "RescaleObservation and TransformReward do, or in the network by layer_norm=True"
    )


class _CountReward(gym.Wrapper):
    """Adds up the rewards of the environment itself."""

    def __init__(self, environment: gym.Env) -> None:
        super().__init__(environment)
        self._since_taken = 0.0

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        step = self.env.step(action)
        self._since_taken += float(as_reward(step[1]))
        return step

    def take(self) -> float:
        """Return the sum of rewards since the last call."""
        taken, self._since_taken = self._since_taken, 0.0
        return taken


class _TellReward(gym.Wrapper):
    """Puts what was counted into ``info``."""

    def __init__(self, environment: gym.Env, counted: _CountReward) -> None:
        super().__init__(environment)
        self._counted = counted

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        self._counted.take()  # of steps that wrappers took to begin with
        return observation, info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        own = {OWN_REWARD: self._counted.take()}
        return observation, reward, terminated, truncated, {**info, **own}
