"""Plays evaluation episodes.

Each environment plays the same number of episodes and then waits for the others: counting
the first so many episodes to finish would count short ones too often.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from gymnasium.vector import VectorEnv

from lightning_dqn.collecting.actor import Actor
from lightning_dqn.collecting.exploration import Exploration
from lightning_dqn.environments.factory import EnvironmentFactory, EnvironmentLike
from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.system.numbers import keep_plain
from lightning_dqn.transitions import Episode, Policy

TEST_SEED_OFFSET = 1_000_000
"""Between the seeds of validation and of a test."""

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
        keep_plain(self)
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
    exploration = Exploration(epsilon=epsilon)
    actor = Actor(environment, spec, exploration, np.random.default_rng(seed))
    actor.reset(seed)
    remaining = np.full(actor.num_envs, episodes_per_env)
    while remaining.any():
        for observe in observers:
            observe(actor.stacked, (remaining > 0) & ~actor.ended)
        for environment_index, episode in actor.step(policy, env_steps=0).episodes:
            if remaining[environment_index] > 0:
                remaining[environment_index] -= 1
                yield episode


class Evaluator:
    """Plays the episodes of evaluations, in environments of its own.

    Args:
        environment: the training's, used where ``config`` names no other.
        config: how a policy is evaluated.
    """

    def __init__(self, environment: EnvironmentFactory, config: EvaluationConfig) -> None:
        self.spec = environment.spec
        self.config = config
        self._factory = EnvironmentFactory.of(config.environment or environment)
        self._environment: VectorEnv | None = None

    def play(
        self, policy: Policy, *, seed: int, episodes_per_env: int, observers: Sequence[Observer]
    ) -> Iterator[Episode]:
        """Yield the episodes of one evaluation as they finish; see :func:`play_episodes`."""
        if self._environment is None:
            self._environment = self._factory.make(self.config.num_envs)
        return play_episodes(
            self._environment,
            self.spec,
            policy,
            episodes_per_env=episodes_per_env,
            epsilon=self.config.epsilon,
            seed=seed,
            observers=observers,
        )

    def close(self) -> None:
        """Close the environments; may be called more than once."""
        if self._environment is not None:
            self._environment.close()
        self._environment = None
