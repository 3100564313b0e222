"""Writes down as rows what an actor does in the training environments.

Shapes: T time, E environments, A actions.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv

from lightning_dqn.collecting.actor import Actor
from lightning_dqn.collecting.exploration import Exploration
from lightning_dqn.collecting.final_rows import final_rows
from lightning_dqn.environments.bounds import Bounds
from lightning_dqn.environments.finite import refuse_non_finite
from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.system.seeding import generator_of
from lightning_dqn.transitions import NO_ACTION, Episode, Policy, Rows


class Collector:
    """Steps E environments and keeps their episodes.

    Args:
        environment: in NEXT_STEP mode.
        spec: its shapes and types.
        exploration: how actions stray from the policy's; None: not at all.
        seed: spawned into streams for each environment and for exploration.

    Attributes:
        env_steps: real transitions so far; autoreset rows are not steps.
        episodes: finished since they were last taken with :meth:`take_episodes`.
        num_ranks: so many collect at the same pace.
    """

    def __init__(
        self,
        environment: VectorEnv,
        spec: EnvironmentSpec,
        *,
        exploration: Exploration | None = None,
        seed: int = 0,
    ) -> None:
        self.spec = spec
        self.num_envs = environment.num_envs
        self.generator = generator_of(seed, "exploration")
        self.actor = Actor(
            environment, spec, exploration or Exploration(epsilon=0.0), self.generator
        )
        self.env_steps = 0
        self.num_ranks = 1
        self.episodes: list[Episode] = []
        self._seed = seed
        self._has_begun = False
        self._bounds = Bounds(environment.single_observation_space)

    @property
    def env_steps_of_all(self) -> int:
        """Of all that collect at the same pace; schedules go by it."""
        return self.env_steps * self.num_ranks

    def collect(self, policy: Policy | None, until_env_steps: int) -> Rows:
        """Step until ``env_steps`` has reached ``until_env_steps``.

        Args:
            policy: chooses the greedy actions; None acts at random.
            until_env_steps: total env steps since the beginning; passed by at most E - 1.

        Returns:
            All rows of these steps.

        Raises:
            ValueError: the environment gave a number that isn't finite; nothing of it is
                returned, so it can't enter the replay ring.
        """
        # Every final row follows at least one real row of its environment.
        most = 2 * -(-(until_env_steps - self.env_steps) // self.num_envs) + 2
        rows = self._begin(max(most, 0))
        time = 0
        while self.env_steps < until_env_steps:
            self._step(policy, rows, time)
            time += 1
        return self._end(rows.each(itemgetter(slice(time))))

    def collect_times(self, policy: Policy | None, num_times: int) -> Rows:
        """Step all environments so many times, those that only begin an episode included.

        Returns:
            Rows [num_times, E].

        Raises:
            ValueError: see :meth:`collect`.
        """
        rows = self._begin(num_times)
        for time in range(num_times):
            self._step(policy, rows, time)
        return self._end(rows)

    def upcoming(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the observations that follow the newest rows, and their legal actions.

        Returns:
            [E, *shape], or [E, S, *shape] with frame stacks; bool[E, A], or None where all are.
        """
        return self.actor.stacked, self.actor.action_mask

    def take_episodes(self) -> list[Episode]:
        """Return the episodes finished since the last call."""
        episodes, self.episodes = self.episodes, []
        return episodes

    def continue_from(self, env_steps: int) -> None:
        """Count from here; explore, and begin episodes, otherwise than at first."""
        self.env_steps = env_steps
        self._has_begun = False
        drawn = generator_of(self._seed, "exploration", env_steps)
        self.generator.bit_generator.state = drawn.bit_generator.state

    def state_dict(self) -> dict[str, Any]:
        """Return counters, generator and open episodes as plain values and tensors."""
        return {
            "env_steps": self.env_steps,
            "generator": self.generator.bit_generator.state,
            "actor": self.actor.state_dict() if self._has_begun else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back counters and generator; the environments start new episodes."""
        self.env_steps = state["env_steps"]
        self.generator.bit_generator.state = state["generator"]
        self._has_begun = False

    def continue_episodes(self, state: dict[str, Any], put_back: Callable[[], object]) -> None:
        """Go on in the midst of the episodes that :meth:`state_dict` found open.

        Args:
            state: what it gave.
            put_back: brings environments that were reset to where they stood.
        """
        self.actor.reset(self._seed, self.env_steps)  # where workers draw their seeds from
        put_back()
        self.actor.load_state_dict(state["actor"])
        self._has_begun = True

    def final_rows(self, state: dict[str, Any]) -> Rows:
        """Return the row, of each environment, with which open episodes end as truncated.

        Args:
            state: what :meth:`state_dict` gave.
        """
        observation, mask = state["actor"]["observation"], state["actor"]["action_mask"]
        mask = None if mask is None else mask.numpy()
        return final_rows(self.spec, observation.numpy(), mask)

    def _begin(self, most: int) -> Rows:
        """Begin the first episodes where none has begun; return room for so many times."""
        if not self._has_begun:
            self.actor.reset(self._seed, self.env_steps)
            self._has_begun = True
        return self._empty_rows(most)

    def _end(self, rows: Rows) -> Rows:
        """Return rows that were checked."""
        self._check_finite(rows)
        self._bounds.look(rows.observation)
        return rows

    def _step(self, policy: Policy | None, rows: Rows, time: int) -> None:
        actor = self.actor
        rows.observation[time] = actor.observation
        if rows.action_mask is not None:
            rows.action_mask[time] = True if actor.action_mask is None else actor.action_mask
        step = actor.step(policy, self.env_steps_of_all)
        rows.action[time] = step.action
        rows.reward[time] = step.reward
        rows.terminated[time] = step.terminated
        rows.truncated[time] = step.truncated
        if rows.life_lost is not None:
            rows.life_lost[time] = step.life_lost
        num_reset = 0
        if step.is_reset.any():
            num_reset = int(step.is_reset.sum())
            rows.action[time, step.is_reset] = NO_ACTION
            rows.reward[time, step.is_reset] = 0.0
            if rows.life_lost is not None:
                rows.life_lost[time, step.is_reset] = False
        self.env_steps += self.num_envs - num_reset
        self.episodes += [episode for _, episode in step.episodes]

    def _check_finite(self, rows: Rows) -> None:
        """Refuse rows, and the observation that follows them, that hold what isn't finite."""
        until = f"of the collection that ended at env step {self.env_steps}"
        for key, values in (("reward", rows.reward), ("observation", rows.observation)):
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                wrong = ~np.isfinite(values).reshape(*values.shape[:2], -1).all(axis=2)
                time = int(np.flatnonzero(wrong.any(axis=1))[0])
                refuse_non_finite(key, values[time], f"at step {time} {until}")
        refuse_non_finite("observation", self.actor.observation, f"at the end {until}")

    def _empty_rows(self, num_times: int) -> Rows:
        size = (num_times, self.num_envs)
        spec = self.spec
        return Rows(
            observation=np.empty(
                (*size, *spec.observation_shape), np.dtype(spec.observation_dtype)
            ),
            action=np.empty(size, np.int64),
            reward=np.empty(size, np.float32),
            terminated=np.empty(size, bool),
            truncated=np.empty(size, bool),
            action_mask=np.empty((*size, spec.num_actions), bool) if spec.has_action_mask else None,
            life_lost=np.empty(size, bool) if spec.has_life_losses else None,
        )
