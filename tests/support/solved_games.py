"""Games small enough for exact solutions: a Markov decision process and Nim under self-play.

Both are tables. Under self-play the next state is the opponent's and the discount negative, so
that one value iteration solves both.
Shapes: S states, A actions, E environments.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from lightning_dqn.learning.targets import Munchausen

SWEEPS = 2_000
"""Value iteration's passes over the states: 0.95^2000 is nothing."""


@dataclass(frozen=True)
class Game:
    """Everything there is to know; a state without a legal action ends the episode.

    Attributes:
        probability: float64[S, A, S], of each next state.
        reward: float64[S, A].
        legal: bool[S, A].
        gamma: discount of one step, negative where the opponent moves next.
        time_limit: env steps after which an episode is truncated, None for never.
        has_mask: whether the environment tells the legal actions.
    """

    probability: np.ndarray
    reward: np.ndarray
    legal: np.ndarray
    gamma: float
    time_limit: int | None = None
    has_mask: bool = False

    @property
    def playable(self) -> np.ndarray:
        """The states with a legal action, int64[<= S]; episodes start in any of them."""
        return np.flatnonzero(self.legal.any(axis=1))

    def optimal_q_values(self) -> np.ndarray:
        """Return Q*, float64[S, A], by value iteration; 0 where an action isn't legal."""
        q_values = np.zeros_like(self.reward)
        for _ in range(SWEEPS):
            q_values = self._backed_up(self.reward, self.greedy_value(q_values))
        return q_values

    def munchausen_q_values(self, munchausen: Munchausen) -> np.ndarray:
        """Return where eqs. 1 and 2 of Vieillard et al. 2020 come to rest, float64[S, A]."""
        temperature = munchausen.temperature
        q_values = np.zeros_like(self.reward)
        for _ in range(SWEEPS):
            soft_value = self._soft_value(q_values, temperature)
            scaled_log_policy = q_values - soft_value[:, None]
            bonus = munchausen.alpha * scaled_log_policy.clip(munchausen.lower_bound, 0.0)
            q_values = self._backed_up(self.reward + bonus, soft_value)
        return q_values

    def policy_value(self, action: np.ndarray) -> np.ndarray:
        """Return what always taking ``action`` int[S] is worth, float64[S]."""
        return self._value_under(np.eye(self.reward.shape[1])[action])

    def random_value(self) -> np.ndarray:
        """Return what the uniformly random policy is worth, float64[S]."""
        return self._value_under(self.legal / self.legal.sum(axis=1, keepdims=True).clip(1))

    def greedy(self, q_values: np.ndarray) -> np.ndarray:
        """Return the best legal action of each state, int64[S]."""
        return np.where(self.legal, q_values, -np.inf).argmax(axis=1)

    def greedy_value(self, q_values: np.ndarray) -> np.ndarray:
        """Return the value of each state's best legal action, float64[S], 0 at the end."""
        best = np.where(self.legal, q_values, -np.inf).max(axis=1)
        return np.where(self.legal.any(axis=1), best, 0.0)

    def _backed_up(self, reward: np.ndarray, value: np.ndarray) -> np.ndarray:
        return np.where(self.legal, reward + self.gamma * self.probability @ value, 0.0)

    def _soft_value(self, q_values: np.ndarray, temperature: float) -> np.ndarray:
        best = self.greedy_value(q_values)
        excess = np.where(self.legal, (q_values - best[:, None]) / temperature, -np.inf)
        count = np.exp(excess).sum(axis=1)
        return np.where(count > 0, best + temperature * np.log(count.clip(1.0)), 0.0)

    def _value_under(self, policy: np.ndarray) -> np.ndarray:
        policy = np.where(self.legal, policy, 0.0)
        reward = (policy * self.reward).sum(axis=1)
        step = np.einsum("sa,sat->st", policy, self.probability)
        return np.linalg.solve(np.eye(len(reward)) - self.gamma * step, reward)


class GameEnv(VectorEnv):
    """Plays a game in E copies at once, in NEXT_STEP mode; refuses illegal actions."""

    def __init__(self, game: Game, num_envs: int) -> None:
        self.game = game
        self.num_envs = num_envs
        num_states, num_actions = game.reward.shape
        self.metadata = {
            "autoreset_mode": AutoresetMode.NEXT_STEP,
            "zero_sum_turns": game.gamma < 0,
        }
        self.single_observation_space = gym.spaces.Discrete(num_states)
        self.single_action_space = gym.spaces.Discrete(num_actions)
        self.observation_space = gym.vector.utils.batch_space(
            self.single_observation_space, num_envs
        )
        self.action_space = gym.vector.utils.batch_space(self.single_action_space, num_envs)
        self._thresholds = game.probability.cumsum(axis=2)

    def reset(self, *, seed: Any = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._state = self._first_states()
        self._time = np.zeros(self.num_envs, np.int64)
        self._ended = np.zeros(self.num_envs, bool)
        return self._state, self._info()

    def step(self, actions: Any) -> tuple[Any, ...]:
        game, begins = self.game, self._ended
        is_legal = game.legal[self._state, actions]
        assert (is_legal | begins).all(), f"{actions} in {self._state}: not legal"
        draw = self.np_random.random((self.num_envs, 1))
        following = (self._thresholds[self._state, actions] <= draw).sum(axis=1)
        reward = np.where(begins, 0.0, game.reward[self._state, actions])
        self._state = np.where(begins, self._first_states(), following % len(game.reward))
        self._time = np.where(begins, 0, self._time + 1)
        terminated = ~game.legal[self._state].any(axis=1)
        truncated = np.zeros(self.num_envs, bool)
        if game.time_limit is not None:
            truncated = self._time == game.time_limit
        self._ended = terminated | truncated
        return self._state, reward, terminated, truncated, self._info()

    def _first_states(self) -> np.ndarray:
        return self.np_random.choice(self.game.playable, self.num_envs)

    def _info(self) -> dict[str, Any]:
        return {"action_mask": self.game.legal[self._state]} if self.game.has_mask else {}


_ENGINE = (
    # state: for each action its reward and where it leads, with what probability
    ((0.2, {6: 1.0}), (-0.1, {1: 1.0}), (-0.2, {0: 1.0})),
    ((0.0, {0: 1.0}), (-0.1, {2: 0.8, 0: 0.2}), (0.1, {6: 1.0})),
    ((0.3, {2: 0.8, 3: 0.2}), (0.0, {0: 1.0}), (0.7, {6: 1.0})),
    ((-0.3, {2: 0.9, 3: 0.1}), (-1.0, {6: 1.0}), (-0.2, {4: 1.0})),
    ((-0.5, {5: 1.0}), (0.1, {3: 1.0}), (-0.2, {6: 1.0})),
    ((-0.2, {4: 0.5, 3: 0.5}), (0.0, {6: 1.0}), (0.3, {1: 0.9, 6: 0.1})),
    ((0.0, {6: 1.0}), (0.0, {6: 1.0}), (0.0, {6: 1.0})),
)


def engine() -> Game:
    """Return an engine that may be run (2), mended (3 to 5) or sold (6, the end).

    It is worth most when run for ever, but only if the future counts: with a discount of 0.8, or
    if a truncated episode were worth nothing more, selling would be better.
    """
    num_states, num_actions = len(_ENGINE), len(_ENGINE[0])
    probability = np.zeros((num_states, num_actions, num_states))
    reward = np.zeros((num_states, num_actions))
    for state, actions in enumerate(_ENGINE):
        for action, (gain, following) in enumerate(actions):
            reward[state, action] = gain
            probability[state, action, list(following)] = list(following.values())
    legal = np.ones((num_states, num_actions), bool)
    legal[-1] = False
    return Game(probability, reward, legal, gamma=0.9, time_limit=4)


def nim(pile: int = 9, most: int = 3) -> Game:
    """Return Nim, where who takes the last object loses, as the player sees it who is to move.

    The state is what is left of the pile, action a takes a + 1 objects. With one object left
    there is a single legal action and it loses: who looks at illegal actions too sees more there.
    """
    probability = np.zeros((pile + 1, most, pile + 1))
    left = np.arange(pile + 1)[:, None] - np.arange(1, most + 1)
    for state, action in np.ndindex(left.shape):
        probability[state, action, max(left[state, action], 0)] = 1.0
    reward = np.where(left == 0, -1.0, 0.0)
    return Game(probability, reward, left >= 0, gamma=-0.95, has_mask=True)
