"""Random play in an environment, and what is seen of it.

Shapes: E environments, A actions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from gymnasium.vector import SyncVectorEnv, VectorEnv

from lightning_dqn.environments.gate import read_action_mask

SEEDS_APART = 100
"""Between the seeds of environments beside each other."""


@dataclass
class Play:
    """What random play has shown.

    Attributes:
        steps: of each environment.
        terminated: episodes that ended so.
        truncated: likewise.
        lengths: of all episodes that ended, in env steps.
        largest_reward: of either sign.
        smallest_reward: of either sign, 0 aside; 0 where all were.
        largest_observation: of either sign, among numbers that are finite.
        rewarded_resets: steps after an episode's end that ended one again or gave a reward.
        without_legal: states, no last ones, in which no action was legal.
        not_finite: steps with an observation or a reward that is NaN or infinite.
    """

    steps: int = 0
    terminated: int = 0
    truncated: int = 0
    lengths: list[int] = field(default_factory=list)
    largest_reward: float = 0.0
    smallest_reward: float = 0.0
    largest_observation: float = 0.0
    rewarded_resets: int = 0
    without_legal: int = 0
    not_finite: int = 0

    @property
    def episodes(self) -> int:
        """Episodes that ended."""
        return len(self.lengths)


def reset(environment: VectorEnv, seed: int) -> tuple[Any, dict[str, Any]]:
    """Begin episodes, each of a seed of its own where the environments take one each."""
    is_list = isinstance(environment.unwrapped, SyncVectorEnv)
    seeds: Any = [seed + SEEDS_APART * i for i in range(environment.num_envs)] if is_list else seed
    return environment.reset(seed=seeds)


def play(environment: VectorEnv, steps: int, seed: int) -> Play:
    """Take random legal actions from a reset on, and note what comes.

    Args:
        environment: in NEXT_STEP mode.
        steps: of each environment.
        seed: of the episodes and the actions.
    """
    seen, generator = Play(), np.random.default_rng(seed)
    observation, info = reset(environment, seed)
    length = np.zeros(environment.num_envs, int)
    ended = np.zeros(environment.num_envs, bool)
    _note_observation(seen, observation)
    for _ in range(steps):
        action, legal = _actions(environment, info, generator)
        seen.without_legal += int((~legal & ~ended).sum())
        observation, reward, terminated, truncated, info = environment.step(action)
        reward = np.asarray(reward, float)
        over = np.asarray(terminated, bool) | np.asarray(truncated, bool)
        seen.rewarded_resets += int((ended & ((reward != 0) | over)).sum())
        length = np.where(ended, 0, length + 1)
        seen.lengths += length[over].tolist()
        seen.terminated += int(np.asarray(terminated, bool).sum())
        seen.truncated += int((np.asarray(truncated, bool) & ~np.asarray(terminated, bool)).sum())
        _note_observation(seen, observation)
        _note_reward(seen, reward)
        ended, seen.steps = over, seen.steps + 1
    return seen


def episode(environment: VectorEnv, steps: int, seed: int, actions: int = 0) -> list[np.ndarray]:
    """Return what the first steps from a seed on gave, by random actions of another seed."""
    generator = np.random.default_rng(actions)
    observation, info = reset(environment, seed)
    given = [np.array(observation)]
    for _ in range(steps):
        action, _ = _actions(environment, info, generator)
        observation, reward, terminated, truncated, info = environment.step(action)
        given += [np.array(one) for one in (observation, reward, terminated, truncated)]
    return given


def are_equal(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    """Tell whether two such episodes are the same number by number."""
    return len(one) == len(other) and all(
        np.array_equal(a, b, equal_nan=a.dtype.kind == "f" and b.dtype.kind == "f")
        for a, b in zip(one, other, strict=True)
    )


def _actions(
    environment: VectorEnv, info: dict[str, Any], generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return random legal actions, and for which environments there is one."""
    space: Any = environment.single_action_space
    count = int(space.n)
    chance = generator.random((environment.num_envs, count))
    mask = read_action_mask(info, environment.num_envs, count)
    if mask is None:
        return chance.argmax(axis=1) + int(space.start), np.ones(environment.num_envs, bool)
    chance = np.where(mask, chance, -1.0)
    return chance.argmax(axis=1) + int(space.start), np.asarray(mask.any(axis=1))


def _note_observation(seen: Play, observation: Any) -> None:
    values = np.asarray(observation)
    if values.dtype.kind == "f":
        is_finite = np.isfinite(values)
        seen.not_finite += int(not is_finite.all())
        values = values[is_finite]
    if values.size:
        size = max(abs(float(values.max())), abs(float(values.min())))
        seen.largest_observation = max(seen.largest_observation, size)


def _note_reward(seen: Play, reward: np.ndarray) -> None:
    size = np.abs(reward[np.isfinite(reward)])
    seen.not_finite += int(len(size) < len(reward))
    if size.any():
        least = float(size[size > 0].min())
        seen.smallest_reward = min(seen.smallest_reward or least, least)
        seen.largest_reward = max(seen.largest_reward, float(size.max()))
