"""Steps the training environments with a policy and writes down what happened as rows.

Shapes: T time, E environments, A actions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv

from lightning_dqn.collecting.exploration import (
    HeldActions,
    epsilon_greedy,
    gumbel_noise,
    random_actions,
)
from lightning_dqn.environments.frame_stack import FrameStack
from lightning_dqn.environments.gate import read_action_mask
from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.schedules import LinearSchedule, Schedule, as_schedule
from lightning_dqn.transitions import NO_ACTION, Episode, Policy, Rows


@dataclass(frozen=True)
class CollectionConfig:
    """How training experience is collected.

    Args:
        warmup_env_steps: env steps taken with random legal actions before learning starts.
        epsilon: probability of a random action, a number or a schedule over env steps.
        epsilon_greedy: False takes no random action after the warm-up, whatever ``epsilon``: for
            networks that explore by their own noise.
        random_action_max_steps: a random action is held for up to so many env steps, see
            :class:`lightning_dqn.collecting.exploration.HeldActions`; 1 is plain epsilon-greedy.
        temperature: of Boltzmann exploration, a number or a schedule over env steps, in units of
            return: actions that aren't random are drawn from softmax(Q / temperature), so that
            those tried most are nearly the best; 0 takes the best.
        overlap: collect the next iteration in a thread while the learner works on this one.
            Actions then come from the weights at the start of the learner's iteration, one
            iteration older than without; the run stays reproducible.
    """

    warmup_env_steps: int = 1_000
    epsilon: float | Schedule = field(default_factory=lambda: LinearSchedule(1.0, 0.05, 10_000))
    epsilon_greedy: bool = True
    random_action_max_steps: int = 1
    temperature: float | Schedule = 0.0
    overlap: bool = False

    def __post_init__(self) -> None:
        if self.warmup_env_steps < 0:
            raise ValueError(f"warmup_env_steps={self.warmup_env_steps}: at least 0")
        if self.random_action_max_steps < 1:
            raise ValueError(f"random_action_max_steps={self.random_action_max_steps}: at least 1")
        if isinstance(self.epsilon, int | float) and not 0 <= self.epsilon <= 1:
            raise ValueError(f"epsilon={self.epsilon}: a probability, between 0 and 1")
        if isinstance(self.temperature, int | float) and self.temperature < 0:
            raise ValueError(f"temperature={self.temperature}: at least 0")


class Collector:
    """Steps E environments and keeps their episodes.

    Args:
        environment: in NEXT_STEP mode.
        spec: its shapes and types.
        epsilon: probability of a random action, a number or a schedule over env steps.
        random_action_max_steps: for how long a random action may be held.
        temperature: of Boltzmann exploration, a number or a schedule over env steps.
        seed: of the environments (environment i gets seed + i) and of exploration.

    Attributes:
        env_steps: real transitions so far; autoreset rows are not steps.
        episodes: finished since they were last taken with :meth:`take_episodes`.
    """

    def __init__(
        self,
        environment: VectorEnv,
        spec: EnvironmentSpec,
        *,
        epsilon: float | Schedule = 0.0,
        random_action_max_steps: int = 1,
        temperature: float | Schedule = 0.0,
        seed: int = 0,
    ) -> None:
        self.environment = environment
        self.spec = spec
        self.num_envs = environment.num_envs
        self.epsilon = as_schedule(epsilon)
        self.temperature = as_schedule(temperature)
        self.generator = np.random.default_rng(seed)
        self.env_steps = 0
        self.episodes: list[Episode] = []
        self._seed = seed
        self._held: HeldActions | None = None
        if random_action_max_steps > 1:
            self._held = HeldActions(self.num_envs, random_action_max_steps, self.generator)
        self._frames = FrameStack(spec.frame_stack)
        self._observation: np.ndarray | None = None
        self._stacked: np.ndarray
        self._action_mask: np.ndarray | None = None
        self._ended = np.zeros(self.num_envs, bool)
        self._returns = np.zeros(self.num_envs)
        self._lengths = np.zeros(self.num_envs, np.int64)
        self._action_start = int(environment.single_action_space.start)  # type: ignore[attr-defined]

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
        if self._observation is None:
            self._reset()
        # Every final row follows at least one real row of its environment.
        most = 2 * -(-(until_env_steps - self.env_steps) // self.num_envs) + 2
        rows = self._empty_rows(max(most, 0))
        time = 0
        while self.env_steps < until_env_steps:
            self._step(policy, rows, time)
            time += 1
        rows = Rows(*(None if column is None else column[:time] for column in rows))  # type: ignore[arg-type]
        _check_finite(rows)
        return rows

    def upcoming(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the observations that follow the newest rows, and their legal actions.

        Returns:
            [E, *shape], or [E, S, *shape] with frame stacks; bool[E, A], or None where all are.
        """
        return self._stacked, self._action_mask

    def take_episodes(self) -> list[Episode]:
        """Return the episodes finished since the last call."""
        episodes, self.episodes = self.episodes, []
        return episodes

    def state_dict(self) -> dict[str, Any]:
        """Return the counters and the generator's state as plain values."""
        return {"env_steps": self.env_steps, "generator": self.generator.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` gave; the environments start new episodes."""
        self.env_steps = state["env_steps"]
        self.generator.bit_generator.state = state["generator"]
        self._seed += self.env_steps
        self._observation = None

    def _reset(self) -> None:
        observation, info = self.environment.reset(seed=self._seed)
        self._observe(observation, info, is_first=None)
        self._ended[:] = False
        self._returns[:] = 0
        self._lengths[:] = 0

    def _observe(
        self, observation: np.ndarray, info: dict[str, Any], is_first: np.ndarray | None
    ) -> None:
        self._observation = observation
        self._stacked = self._frames.push(observation, is_first)
        if self.spec.has_action_mask:
            self._action_mask = read_action_mask(info, self.num_envs, self.spec.num_actions)

    def _choose(self, policy: Policy | None) -> np.ndarray:
        num_actions, mask = self.spec.num_actions, self._action_mask
        if policy is None:
            action = random_actions(self.num_envs, num_actions, mask, self.generator)
            explores = np.ones(self.num_envs, bool)
        else:
            epsilon = self.epsilon(self.env_steps)
            temperature = self.temperature(self.env_steps)
            if temperature > 0:
                noise = gumbel_noise(self.num_envs, num_actions, temperature, self.generator)
                greedy = policy.act(self._stacked, mask, noise)
            else:
                greedy = policy.act(self._stacked, mask)
            action, explores = epsilon_greedy(greedy, epsilon, num_actions, mask, self.generator)
        return action if self._held is None else self._held.apply(action, explores, mask)

    def _step(self, policy: Policy | None, rows: Rows, time: int) -> None:
        action = self._choose(policy)
        is_final = self._ended
        rows.observation[time] = self._observation
        rows.action[time] = action
        if rows.action_mask is not None:
            rows.action_mask[time] = True if self._action_mask is None else self._action_mask
        observation, reward, terminated, truncated, info = self.environment.step(
            action + self._action_start if self._action_start else action
        )
        rows.reward[time] = reward
        rows.terminated[time] = terminated
        rows.truncated[time] = truncated
        self._returns += reward
        self._lengths += 1
        num_final = 0
        if is_final.any():
            num_final = self._begin_episodes(is_final, rows, time)
        self.env_steps += self.num_envs - num_final
        self._ended = terminated | truncated
        if self._ended.any():
            self._finish_episodes()
        self._observe(observation, info, is_final)

    def _begin_episodes(self, is_final: np.ndarray, rows: Rows, time: int) -> int:
        """Mark the rows of final observations; this call of step only reset those environments."""
        rows.action[time, is_final] = NO_ACTION
        rows.reward[time, is_final] = 0.0
        self._returns[is_final] = 0.0
        self._lengths[is_final] = 0
        return int(is_final.sum())

    def _finish_episodes(self) -> None:
        for i in np.flatnonzero(self._ended):
            self.episodes.append(Episode(float(self._returns[i]), int(self._lengths[i])))
        if self._held is not None:
            self._held.forget(self._ended)

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
        )


def _check_finite(rows: Rows) -> None:
    for name in ("reward", "observation"):
        values = getattr(rows, name)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            time, environment = np.argwhere(~np.isfinite(values))[0][:2]
            raise ValueError(
                f"environment {environment} gave a non-finite {name} "
                f"({values[time, environment]}) at step {time} of this collection; it was kept "
                "out of the replay ring. Mend the environment, or wrap it to replace such values"
            )
