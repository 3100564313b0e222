"""Plays evaluation episodes.

Each environment plays the same number of episodes and then waits for the others: counting
the first so many episodes to finish would count short ones too often.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from gymnasium.vector import VectorEnv

from lightning_dqn.collecting.exploration import epsilon_greedy
from lightning_dqn.environments.factory import EnvironmentLike
from lightning_dqn.environments.frame_stack import FrameStack
from lightning_dqn.environments.gate import read_action_mask
from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.transitions import Episode, Policy

Observer = Callable[[np.ndarray, np.ndarray], None]


"""Looks on before each step: observations [E, *shape], and in which an action is chosen for an
episode that counts, bool[E]."""


@dataclass(frozen=True)
class EvaluationConfig:
    """How a policy is evaluated.

    Args:
        num_envs: environments of its own that evaluation steps at once.
        episodes_per_env: episodes that each of them plays in a validation.
        test_episodes_per_env: episodes that each of them plays in a test.
        epsilon: probability of a random action; 0 is greedy.
        environment: another one than for training; anything :class:`EnvironmentFactory` takes.
        seed: of validation, the same each time so that checkpoints are compared on the same
            episodes; a test uses other ones, from ``seed + 1_000_000``.
    """

    num_envs: int = 10
    episodes_per_env: int = 1
    test_episodes_per_env: int = 10
    epsilon: float = 0.0
    environment: EnvironmentLike | None = None
    seed: int = 10_000

    def __post_init__(self) -> None:
        for name in ("num_envs", "episodes_per_env", "test_episodes_per_env"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: at least 1")
        if not 0 <= self.epsilon <= 1:
            raise ValueError(f"epsilon={self.epsilon}: a probability, between 0 and 1")


def play_episodes(
    environment: VectorEnv,
    spec: EnvironmentSpec,
    policy: Policy,
    *,
    episodes_per_env: int,
    epsilon: float = 0.0,
    seed: int = 0,
    observers: Sequence[Observer] = (),
) -> Iterator[Episode]:
    """Yield the episodes as they finish, ``episodes_per_env`` of each environment.

    Args:
        environment: in NEXT_STEP mode; reset with ``seed`` first.
        spec: its shapes and types.
        policy: chooses the greedy actions.
        episodes_per_env: episodes counted of each environment.
        epsilon: probability of a random legal action.
        seed: of the environments and of the random actions.
        observers: called before each step.
    """
    num_envs = environment.num_envs
    generator = np.random.default_rng(seed)
    frames = FrameStack(spec.frame_stack)
    observation, info = environment.reset(seed=seed)
    stacked = frames.push(observation)
    start = int(environment.single_action_space.start)  # type: ignore[attr-defined]
    remaining = np.full(num_envs, episodes_per_env)
    returns, lengths = np.zeros(num_envs), np.zeros(num_envs, np.int64)
    ended = np.zeros(num_envs, bool)
    while remaining.any():
        for observe in observers:
            observe(stacked, (remaining > 0) & ~ended)
        mask = read_action_mask(info, num_envs, spec.num_actions)
        action = policy.act(stacked, mask)
        if epsilon > 0:
            action, _ = epsilon_greedy(action, epsilon, spec.num_actions, mask, generator)
        observation, reward, terminated, truncated, info = environment.step(action + start)
        returns = np.where(ended, 0.0, returns + reward)
        lengths = np.where(ended, 0, lengths + 1)
        stacked = frames.push(observation, ended)
        ended = terminated | truncated
        for i in np.flatnonzero(ended & (remaining > 0)):
            remaining[i] -= 1
            yield Episode(float(returns[i]), int(lengths[i]))
