"""What wrappers do that has to be known: they change rewards, and keep statistics of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, SupportsFloat

import gymnasium as gym
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv, VectorEnv, VectorWrapper

from lightning_dqn.environments.declared import as_reward

OWN_REWARD = "own_reward"
"""Where ``info`` holds what the environment itself gave, before wrappers."""

_STATISTICS = ("obs_rms", "return_rms")
"""What gymnasium's wrappers call the running statistics that they keep."""


def wrap(
    environment: gym.Env, wrappers: Sequence[Callable[[gym.Env], gym.Env]], name: str
) -> gym.Env:
    """Return the environment in its wrappers, with its own reward as ``info["own_reward"]``.

    That is the sum since the last step, however often a wrapper stepped it.

    Args:
        environment: innermost.
        wrappers: functions from ``Env`` to ``Env``, innermost first.
        name: how messages call the environment.

    Raises:
        ValueError: a wrapper gave no environment, or one keeps running statistics.
    """
    counted = _CountReward(environment)
    wrapped: gym.Env = counted if wrappers else environment
    for wrapper in wrappers:
        wrapped = wrapper(wrapped)
        if not isinstance(wrapped, gym.Env):
            kind = type(wrapped).__name__
            raise ValueError(f"wrappers: {wrapper} gave a {kind}, not a gymnasium.Env")
    for layer in _layers(wrapped):
        _refuse_statistics(layer, name)
    return _TellReward(wrapped, counted) if wrappers else wrapped


def refuse_vector_statistics(environment: VectorEnv, name: str) -> None:
    """Refuse a ``VectorEnv`` whose wrappers keep running statistics, outside or inside.

    Raises:
        ValueError: naming the wrapper.
    """
    while isinstance(environment, VectorWrapper):
        _refuse_statistics(environment, name)
        environment = environment.env
    if isinstance(environment, SyncVectorEnv):
        for layer in _layers(environment.envs[0]):
            _refuse_statistics(layer, name)
    if isinstance(environment, AsyncVectorEnv):
        for attribute in _STATISTICS:
            if any(environment.call("has_wrapper_attr", attribute)):
                raise ValueError(_about_statistics(name, f"a wrapper with {attribute}"))


def _layers(environment: gym.Env) -> Iterator[gym.Env]:
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
