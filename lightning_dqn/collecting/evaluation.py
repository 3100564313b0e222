"""Plays evaluation episodes.

Each environment plays the same number of episodes and then waits for the others: counting the
first n episodes to finish would overcount short ones. For the same reason episodes are yielded in
a fixed order, so that the first n yielded aren't the short ones either.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv, VectorEnv

from lightning_dqn.collecting.actor import Actor, Step
from lightning_dqn.collecting.exploration import Exploration
from lightning_dqn.environments.bounds import Bounds
from lightning_dqn.environments.factory import EnvironmentFactory, EnvironmentLike
from lightning_dqn.environments.finite import refuse_non_finite
from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.environments.workers import WorkerVectorEnv
from lightning_dqn.system.numbers import keep_plain, keep_whole
from lightning_dqn.system.seeding import generator_of, seed_of
from lightning_dqn.transitions import Episode, Policy

STEPS_WITHOUT_A_LIMIT = 10_000
"""Most env steps of an evaluation episode if the environment sets no limit: more than gymnasium's
tasks take, and over in seconds if a policy gets stuck. Atari has its own limit, half an hour or
27,000 env steps (Machado et al. 2018, https://arxiv.org/abs/1709.06009)."""

Observer = Callable[[np.ndarray, np.ndarray], None]
"""Called before each step: observations [E, *shape], and for which of them an action of a counted
episode is chosen, bool[E]."""

EndObserver = Callable[[int, Episode], None]
"""Called when a counted episode is over, before the next step: environment, episode."""
StepObserver = Callable[[Step, Actor, np.ndarray], None]
"""Called after each step: the step, the actor after it, and whose episode was cut, bool[E]."""


@dataclass(frozen=True)
class EvaluationConfig:
    """How a policy is evaluated.

    Args:
        num_envs: environments of its own that evaluation steps at once.
        episodes_per_env: episodes that each environment plays in a validation.
        test_episodes_per_env: episodes that each environment plays in a test.
        epsilon: probability of a random action; 0 is greedy; ``"auto"``: ``evaluation_epsilon`` in
            the environment's metadata, as set by Atari's protocols, or 0 without it.
        environment: a different one than for training; anything :class:`EnvironmentFactory` takes.
            A ``VectorEnv`` is used directly; it must have ``num_envs`` environments and can't be
            the training one.
        seed: of validation, the same each time so that checkpoints are compared on the same
            episodes, and of a test, which plays others; None: derived from the run's seed.
        max_episode_steps: env steps after which an episode is cut and counted as it is, so that a
            policy that gets stuck doesn't play forever; ``"auto"``: the environment's own limit,
            or 10,000 if gymnasium knows of none; None: no limit.
    """

    num_envs: int = 10
    episodes_per_env: int = 1
    test_episodes_per_env: int = 10
    epsilon: float | Literal["auto"] = 0.0
    environment: EnvironmentLike | None = None
    seed: int | None = None
    max_episode_steps: int | Literal["auto"] | None = "auto"

    def __post_init__(self) -> None:
        keep_plain(self)
        keep_whole(self, num_envs=1, episodes_per_env=1, test_episodes_per_env=1)
        epsilon = self.epsilon
        if epsilon != "auto" and (isinstance(epsilon, str) or not 0 <= epsilon <= 1):
            raise ValueError(f"epsilon={epsilon}: a probability, between 0 and 1, or auto")
        if self.seed is not None:
            keep_whole(self, seed=0)
        if self.max_episode_steps not in (None, "auto"):
            keep_whole(self, max_episode_steps=1)

    def episode_seed(self, run_seed: int, stage: Literal["validation", "test"]) -> int:
        """Return the seed of the episodes of one stage."""
        return seed_of(run_seed if self.seed is None else self.seed, stage)

    def environments(self, training: EnvironmentFactory) -> EnvironmentFactory:
        """Return the environments of evaluation: its own, or the same kind as for training.

        Raises:
            ValueError: ``environment`` can't make any.
        """
        try:
            return EnvironmentFactory.of(self.environment or training)
        except ValueError as error:
            raise ValueError(f"evaluation.environment.{error}") from None

    def check_apart(self, training: EnvironmentFactory) -> None:
        """Refuse to play in the same environments as training.

        Raises:
            ValueError: ``environment`` is the training ``VectorEnv``.
        """
        if self.environment is None or not isinstance(training.id, VectorEnv):
            return
        given = EnvironmentFactory.of(self.environment)
        if isinstance(given.id, VectorEnv) and given.id.unwrapped is training.id.unwrapped:
            raise ValueError(
                f"evaluation.environment={given.name}: this VectorEnv trains, and evaluation would "
                "break into its episodes; leave it out, or pass an id, a function or another "
                "VectorEnv"
            )

    def epsilon_of(self, environment: VectorEnv) -> float:
        """Return the probability of a random action in these environments."""
        if self.epsilon != "auto":
            return self.epsilon
        return float(environment.metadata.get("evaluation_epsilon", 0.0))

    def limit_of(self, environment: VectorEnv) -> int | None:
        """Return the env steps after which an episode is cut; None: never."""
        if self.max_episode_steps != "auto":
            return self.max_episode_steps
        return None if _has_limit(environment) else STEPS_WITHOUT_A_LIMIT


def play_episodes(
    environment: VectorEnv,
    spec: EnvironmentSpec,
    policy: Policy,
    *,
    episodes_per_env: int,
    epsilon: float = 0.0,
    seed: int = 0,
    max_episode_steps: int | None = None,
    observers: Sequence[Observer] = (),
    at_end: EndObserver | None = None,
    step_observers: Sequence[StepObserver] = (),
) -> Iterator[Episode]:
    """Yield ``episodes_per_env`` episodes of each environment.

    They are ordered: the first of every environment, then the second, and so on. An episode cut by
    a worker's restart isn't counted, and is replaced by another. An environment whose episode is
    cut here waits until the others are done: all of them are then reset, since one alone can't be.

    Args:
        environment: in NEXT_STEP mode; it is reset first.
        spec: its shapes and types.
        policy: chooses the greedy actions.
        episodes_per_env: episodes counted of each environment.
        epsilon: probability of a random legal action.
        seed: from which the seeds of each environment and of random actions are derived.
        max_episode_steps: env steps after which an episode is cut; None: never.
        observers: called before each step.
        at_end: called when an episode is counted, in the order in which they end.
        step_observers: called after each step.

    Raises:
        ValueError: the environment or the policy returned something invalid; a reward wasn't
            finite.
    """
    exploration = Exploration(epsilon=epsilon)
    actor = Actor(environment, spec, exploration, generator_of(seed, "exploration"))
    tally = _Tally(actor.num_envs, episodes_per_env, at_end)
    bounds = Bounds(environment.single_observation_space)
    limit = math.inf if max_episode_steps is None else max_episode_steps
    steps = 0
    while tally.is_open:
        if not tally.is_playing.any():
            actor.reset(seed, tally.number_counted)
            tally.is_waiting[:] = False
            bounds.look(actor.observation)
            refuse_non_finite("observation", actor.observation, "at a reset in evaluation")
        for observe in observers:
            observe(actor.stacked, tally.is_playing & ~actor.ended)
        step, steps = actor.step(policy, env_steps=0), steps + 1
        ended = step.episodes
        _check_finite(actor, step, steps)
        for index, episode in ended:
            tally.count(index, episode)
        if ended:
            bounds.look(actor.observation)
        is_cut = actor.lengths >= limit
        if is_cut.any():
            is_cut &= ~actor.ended & tally.is_playing
            for over in np.flatnonzero(is_cut):
                tally.cut(int(over), actor.episode(int(over)))
        for observe_step in step_observers:
            observe_step(step, actor, is_cut)
        yield from tally.take()


def _check_finite(actor: Actor, step: Step, steps: int) -> None:
    when = f"at step {steps} of an evaluation"
    refuse_non_finite("reward", step.reward, when)
    refuse_non_finite("observation", actor.observation, when)


class _Tally:
    """Counts the episodes of E environments and hands them out in a fixed order.

    Attributes:
        is_waiting: bool[E], where no episode that counts goes on: none has begun, or the last one
            was cut and goes on for nobody.
        number_counted: episodes so far.
    """

    def __init__(self, num_envs: int, episodes_per_env: int, at_end: EndObserver | None) -> None:
        self.is_waiting = np.ones(num_envs, bool)
        self.number_counted = 0
        self._remaining = np.full(num_envs, episodes_per_env)
        self._per_env = episodes_per_env
        self._at_end = at_end
        self._finished: dict[tuple[int, int], Episode] = {}
        self._next = (0, 0)

    @property
    def is_open(self) -> bool:
        """Whether episodes are wanting."""
        return bool(self._remaining.any())

    @property
    def is_playing(self) -> np.ndarray:
        """bool[E], whose episode counts."""
        return (self._remaining > 0) & ~self.is_waiting

    def count(self, index: int, episode: Episode) -> None:
        """Count an episode that ended, unless it was cut before; another one begins."""
        if self.is_waiting[index]:
            self.is_waiting[index] = False
        elif self._remaining[index] > 0:
            self._add(index, episode)

    def cut(self, index: int, episode: Episode) -> None:
        """Count an episode as far as it has come."""
        if self._remaining[index] > 0 and not self.is_waiting[index]:
            self.is_waiting[index] = True
            self._add(index, episode._replace(is_cut=True))

    def take(self) -> Iterator[Episode]:
        """Yield the episodes whose turn it is."""
        while self._next in self._finished:
            yield self._finished.pop(self._next)
            number, index = self._next
            is_last = index + 1 == len(self._remaining)
            self._next = (number + 1, 0) if is_last else (number, index + 1)

    def _add(self, index: int, episode: Episode) -> None:
        if not math.isfinite(episode.episode_return):
            raise ValueError(
                f"environment {index} gave rewards in evaluation whose sum is "
                f"{episode.episode_return}; mend the environment"
            )
        self._finished[self._per_env - int(self._remaining[index]), index] = episode
        self._remaining[index] -= 1
        self.number_counted += 1
        if self._at_end is not None:
            self._at_end(index, episode)


class EvaluationRules(NamedTuple):
    """How episodes were played, with ``auto`` resolved for their environments.

    Attributes:
        epsilon: probability of a random action.
        max_episode_steps: env steps after which an episode was cut; None: only the environment
            ended episodes.
    """

    epsilon: float
    max_episode_steps: int | None


class Evaluator:
    """Plays the episodes of evaluations, in environments of its own.

    Args:
        environment: of training, used if ``config`` names no other.
        config: how a policy is evaluated.
    """

    def __init__(self, environment: EnvironmentFactory, config: EvaluationConfig) -> None:
        self.spec = environment.spec
        self.config = config
        self._factory = config.environments(environment)
        self._environment: VectorEnv | None = None
        self._limit: int | None = None

    def play(
        self,
        policy: Policy,
        *,
        seed: int,
        episodes_per_env: int,
        observers: Sequence[Observer],
        at_end: EndObserver | None = None,
        step_observers: Sequence[StepObserver] = (),
    ) -> Iterator[Episode]:
        """Yield the episodes of one evaluation; see :func:`play_episodes`."""
        return play_episodes(
            self.environment,
            self._factory.spec,  # of which lives may be told where training knows none
            policy,
            episodes_per_env=episodes_per_env,
            epsilon=self.config.epsilon_of(self.environment),
            seed=seed,
            max_episode_steps=self._limit,
            observers=observers,
            at_end=at_end,
            step_observers=step_observers,
        )

    @property
    def rules(self) -> EvaluationRules:
        """How it plays."""
        return EvaluationRules(self.config.epsilon_of(self.environment), self._limit)

    @property
    def environment(self) -> VectorEnv:
        """The environments that it plays in, made at first use."""
        if self._environment is None:
            self._environment = self._make()
            self._limit = self.config.limit_of(self._environment)
        return self._environment

    def close(self) -> None:
        """Close the environments unless they are the user's own; may be called more than once."""
        environment, self._environment = self._environment, None
        if environment is not None and environment is not self._factory.id:
            environment.close()

    def _make(self) -> VectorEnv:
        number = self.config.num_envs
        if self.config.environment is None or not isinstance(self._factory.id, VectorEnv):
            return self._factory.make(number)
        environment = self._factory.make()
        if environment.num_envs != number:
            raise ValueError(
                f"num_envs={number}: the VectorEnv to evaluate in has {environment.num_envs} "
                f"environments; set evaluation.num_envs={environment.num_envs}"
            )
        return environment


def _has_limit(environment: VectorEnv) -> bool:
    """Tell whether gymnasium knows of a limit on the steps of its episodes."""
    record, inner = environment.spec, environment.unwrapped
    if record is None and isinstance(inner, SyncVectorEnv):
        record = inner.envs[0].spec
    if isinstance(inner, WorkerVectorEnv):
        record = inner.single_spec
    elif record is None and isinstance(inner, AsyncVectorEnv):
        record = inner.get_attr("spec")[0]
    return record is not None and record.max_episode_steps is not None
