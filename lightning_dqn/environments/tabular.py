"""Environments with few states and a known solution, as vector environments in NEXT_STEP mode.

Each says in ``mdp`` what it is as a table, for :mod:`lightning_dqn.environments.value_iteration`.
Shapes: S states, A actions, E environments.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from lightning_dqn.environments.value_iteration import TabularMDP
from lightning_dqn.system.numbers import finite_number, whole_number


class TabularVectorEnv(VectorEnv, ABC):
    """Walks E copies of a process of few states; a subclass says where actions lead.

    Args:
        num_envs: E.
        num_states: S.
        num_actions: A.
        max_episode_steps: after which an episode is truncated; None: never.
    """

    def __init__(
        self, num_envs: int, num_states: int, num_actions: int, max_episode_steps: int | None
    ) -> None:
        if max_episode_steps is not None:
            max_episode_steps = whole_number("max_episode_steps", max_episode_steps, least=1)
        self.num_envs = num_envs
        self.max_episode_steps = max_episode_steps
        self.metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}
        self.single_observation_space = gym.spaces.Discrete(num_states)
        self.single_action_space = gym.spaces.Discrete(num_actions)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._state = np.zeros(num_envs, np.int64)
        self._steps = np.zeros(num_envs, np.int64)
        self._ended = np.zeros(num_envs, bool)

    @abstractmethod
    def mdp(self, gamma: float) -> TabularMDP:
        """Return the process as a table."""

    @abstractmethod
    def first_states(self, number: int) -> np.ndarray:
        """Draw the states in which episodes begin, int64[number]."""

    @abstractmethod
    def advance(
        self, state: np.ndarray, action: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return next states int64[E], rewards float64[E] and where the episode ends, bool[E]."""

    def legal_actions(self, state: np.ndarray) -> np.ndarray | None:
        """Return the legal actions bool[E, A], or None where all always are."""
        return None

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode in every copy; a list of seeds counts by its first."""
        super().reset(seed=seed[0] if isinstance(seed, list) else seed)
        self._state = self.first_states(self.num_envs)
        self._steps[:] = 0
        self._ended[:] = False
        return self._state, self._info()

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Move every copy by its action; those whose episode has ended begin another one.

        Raises:
            ValueError: an action isn't legal.
        """
        begins = self._ended
        legal = self.legal_actions(self._state)
        if legal is not None and not (legal[np.arange(self.num_envs), actions] | begins).all():
            raise ValueError(f"actions={actions}: not all are legal in the states {self._state}")
        state, reward, terminated = self.advance(self._state, np.asarray(actions))
        self._steps = np.where(begins, 0, self._steps + 1)
        if begins.any():
            state = np.where(begins, self.first_states(self.num_envs), state)
            reward, terminated = np.where(begins, 0.0, reward), terminated & ~begins
        truncated = np.zeros(self.num_envs, bool)
        if self.max_episode_steps is not None:
            truncated = (self._steps >= self.max_episode_steps) & ~terminated
        self._state, self._ended = state, terminated | truncated
        return state, reward, terminated, truncated, self._info()

    def _info(self) -> dict[str, Any]:
        legal = self.legal_actions(self._state)
        return {} if legal is None else {"action_mask": legal}


class TorusVectorEnv(TabularVectorEnv):
    """A square whose edges are joined; the further from the goal in its middle, the worse.

    The state is row * size + column. The four actions go one field up, down, left, right, and the
    reward is minus the Euclidean distance from the field reached to the goal. Nothing ends an
    episode but the time limit, and being at the goal is not enough: one has to move, so that the
    best is to step off it and back. On odd sizes the distance around the torus is the plain one.

    Args:
        num_envs: E.
        size: fields of a side.
        max_episode_steps: after which an episode is truncated.
    """

    def __init__(self, num_envs: int = 1, *, size: int = 21, max_episode_steps: int = 50) -> None:
        size = whole_number("size", size, least=2)
        super().__init__(num_envs, size * size, 4, max_episode_steps)
        rows, columns = np.divmod(np.arange(size * size), size)
        moves = ((-1, 0), (1, 0), (0, -1), (0, 1))
        self._next = np.stack(
            [(rows + down) % size * size + (columns + right) % size for down, right in moves],
            axis=1,
        )
        distance = np.hypot(rows - size // 2, columns - size // 2)
        self._reward = -distance[self._next]

    def mdp(self, gamma: float) -> TabularMDP:
        """Return the process as a table; the time limit is no part of it."""
        size = self._next.shape
        return TabularMDP(
            probability=np.ones((*size, 1)),
            next_state=self._next[..., None],
            terminated=np.zeros((*size, 1), bool),
            reward=self._reward,
            legal=np.ones(size, bool),
            start=np.full(size[0], 1 / size[0]),
            gamma=gamma,
        )

    def first_states(self, number: int) -> np.ndarray:
        """Draw any field."""
        return self.np_random.integers(len(self._next), size=number)

    def advance(
        self, state: np.ndarray, action: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Move by one field."""
        reward = self._reward[state, action]
        return self._next[state, action], reward, np.zeros(len(state), bool)


class GamblerVectorEnv(TabularVectorEnv):
    """The gambler's problem, example 4.3 of Sutton & Barto 2018: bet on a coin until rich or broke.

    The state is the capital, 0 to ``goal``; action a stakes a + 1, at most what the gambler has
    and what is missing. Heads win the stake, tails lose it. The reward is 1 on reaching ``goal``,
    so that a state is worth the chance to get there. Staking nothing is no action here.

    Args:
        num_envs: E.
        goal: capital to reach, at least 2.
        heads: probability of heads.
        first_capital: at an episode's start; None draws from 1 to ``goal - 1``.
    """

    def __init__(
        self,
        num_envs: int = 1,
        *,
        goal: int = 100,
        heads: float = 0.4,
        first_capital: int | None = None,
    ) -> None:
        goal = whole_number("goal", goal, least=2)
        if not 0 <= finite_number("heads", heads) <= 1:
            raise ValueError(f"heads={heads}: a probability, between 0 and 1")
        if first_capital is not None:
            first_capital = whole_number("first_capital", first_capital)
        if first_capital is not None and not 0 < first_capital < goal:
            raise ValueError(f"first_capital={first_capital}: between 1 and goal - 1 = {goal - 1}")
        super().__init__(num_envs, goal + 1, goal // 2, None)
        self.goal = goal
        self.heads = heads
        self.first_capital = first_capital
        capital, stake = np.arange(goal + 1)[:, None], 1 + np.arange(goal // 2)
        self._legal = stake <= np.minimum(capital, goal - capital)

    def mdp(self, gamma: float) -> TabularMDP:
        """Return the process as a table: heads first, then tails."""
        capital, stake = np.arange(self.goal + 1)[:, None], 1 + np.arange(self.goal // 2)
        next_state = np.stack([capital + stake, capital - stake], axis=2).clip(0, self.goal)
        wins = next_state[..., 0] == self.goal
        start = np.zeros(self.goal + 1)
        start[slice(1, -1) if self.first_capital is None else self.first_capital] = 1.0
        return TabularMDP(
            probability=np.broadcast_to([self.heads, 1 - self.heads], next_state.shape),
            next_state=next_state,
            terminated=(next_state == 0) | (next_state == self.goal),
            reward=self.heads * wins,
            legal=self._legal,
            start=start / start.sum(),
            gamma=gamma,
        )

    def first_states(self, number: int) -> np.ndarray:
        """Draw the first capital."""
        if self.first_capital is not None:
            return np.full(number, self.first_capital)
        return self.np_random.integers(1, self.goal, size=number)

    def advance(
        self, state: np.ndarray, action: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Toss a coin for every copy."""
        wins = self.np_random.random(len(state)) < self.heads
        capital = (state + np.where(wins, action + 1, -action - 1)).clip(0, self.goal)
        reward = (capital == self.goal).astype(np.float64)
        return capital, reward, (capital == 0) | (capital == self.goal)

    def legal_actions(self, state: np.ndarray) -> np.ndarray:
        """Return the stakes that the capital allows, bool[E, A]."""
        return self._legal[state]
