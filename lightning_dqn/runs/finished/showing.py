"""Episodes one at a time, step by step, with what there is to see of them.

Shapes: S stacked frames, A actions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
from gymnasium.vector import SyncVectorEnv

from lightning_dqn.agent import Agent
from lightning_dqn.collecting.actor import Actor
from lightning_dqn.collecting.evaluation import EvaluationConfig
from lightning_dqn.collecting.exploration import Exploration
from lightning_dqn.environments.drawing import draw, render_fps, render_modes
from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.system.seeding import generator_of, seed_of
from lightning_dqn.transitions import Episode


class Moment(NamedTuple):
    """An episode's beginning, or one env step of it.

    Attributes:
        observation: [1, (S,) *shape], what the action was chosen by.
        action_mask: bool[1, A], what was legal then; None where all actions are.
        action: the environment's number of it; None at the beginning, before the first.
        reward: of this step, the environment's own.
        episode: so far.
        is_over: this is its last moment.
    """

    observation: np.ndarray
    action_mask: np.ndarray | None
    action: int | None
    reward: float
    episode: Episode
    is_over: bool


class Stage:
    """One environment of a kind, in which an agent plays episode after episode.

    Args:
        factory: of the kind.
        agent: plays.
        epsilon: see :class:`EvaluationConfig`.
        max_episode_steps: likewise.
        render_mode: what :meth:`frame` gives; None: nothing is drawn.

    Raises:
        ConfigError: a number is out of range, or the environment can't be made.
    """

    def __init__(
        self,
        factory: EnvironmentFactory,
        agent: Agent,
        *,
        epsilon: float | Literal["auto"] = 0.0,
        max_episode_steps: int | Literal["auto"] | None = "auto",
        render_mode: str | None = None,
    ) -> None:
        self.name = factory.name
        self.spec = factory.spec
        self.agent = agent
        try:
            config = EvaluationConfig(
                num_envs=1, epsilon=epsilon, max_episode_steps=max_episode_steps
            )
            self.environment = factory.make_one(render_mode)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        self._exploration = Exploration(epsilon=config.epsilon_of(self.environment))
        self._limit = config.limit_of(self.environment)

    @property
    def render_modes(self) -> list[str]:
        """What the environment can be shown as."""
        return render_modes(self.environment)

    @property
    def fps(self) -> float | None:
        """Frames per second that the environment asks for; None where it doesn't say."""
        return render_fps(self.environment)

    def set_fps(self, fps: float) -> None:
        """Let the environment's own window show so many frames per second."""
        inner: Any = self.environment
        if isinstance(inner, SyncVectorEnv):
            inner = inner.envs[0].unwrapped
        inner.metadata = {**inner.metadata, "render_fps": fps}

    def play(self, seed: int) -> Iterator[Moment]:
        """Yield the moments of the episode of a seed, the beginning first.

        It is the episode that ``evaluate`` plays in one environment by that seed.

        Raises:
            ValueError: the environment or the agent gave what can't be meant.
        """
        generator = generator_of(seed, "exploration")
        actor = Actor(self.environment, self.spec, self._exploration, generator)
        actor.reset(seed)
        yield Moment(actor.stacked, actor.action_mask, None, 0.0, Episode(0.0, 0), False)
        is_over, before = False, 0.0
        while not is_over:
            observation, mask = actor.stacked, actor.action_mask
            step = actor.step(self.agent, env_steps=0)
            episode, is_over = actor.episode(0), bool(actor.ended[0])
            if not is_over and self._limit is not None and episode.episode_length >= self._limit:
                episode, is_over = episode._replace(is_cut=True), True
            if not math.isfinite(episode.episode_return):
                raise ValueError(
                    f"{self.name} gave rewards whose sum is {episode.episode_return}; mend the "
                    "environment"
                )
            action = int(step.action[0]) + self.spec.action_start
            is_own = episode.wrapped_return is None
            reward = float(step.reward[0]) if is_own else episode.episode_return - before
            before = episode.episode_return
            yield Moment(observation, mask, action, reward, episode, is_over)

    def frame(self) -> Any:
        """Return what the environment shows at this moment: a picture, text, or None.

        Raises:
            ConfigError: a package is missing by which it is drawn.
        """
        try:
            return draw(self.environment, [0], self.name)[0]
        except ValueError as error:
            raise ConfigError(str(error)) from error

    def close(self) -> None:
        """Close the environment, and its window."""
        self.environment.close()


def episode_seeds(seed: int, number: int) -> list[int]:
    """Return the seeds of so many episodes; the first is ``seed``, so each can be had again."""
    return [seed, *(seed_of(seed, "episode", index) for index in range(1, number))]
