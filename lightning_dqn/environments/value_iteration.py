"""Exact solutions of Markov decision processes that are tables.

Shapes: S states, A actions, K outcomes that an action may have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class TabularMDP:
    """Everything there is to know of a process with few states.

    Attributes:
        probability: float64[S, A, K] of each outcome; sums to 1 over K.
        next_state: int64[S, A, K].
        terminated: bool[S, A, K], the outcome ends the episode: nothing is to be expected after.
        reward: float64[S, A], expected over the outcomes.
        legal: bool[S, A]; a state without a legal action is worth 0.
        start: float64[S], probability of an episode to begin there.
        gamma: discount of one step, at most 1; negative where the opponent moves next.
    """

    probability: np.ndarray
    next_state: np.ndarray
    terminated: np.ndarray
    reward: np.ndarray
    legal: np.ndarray
    start: np.ndarray
    gamma: float

    def __post_init__(self) -> None:
        outcomes = self.probability.shape
        assert self.next_state.shape == self.terminated.shape == outcomes
        assert self.reward.shape == self.legal.shape == outcomes[:2]
        assert self.start.shape == outcomes[:1]
        assert np.allclose(self.probability.sum(axis=2), 1.0)
        if abs(self.gamma) > 1:
            raise ValueError(f"gamma={self.gamma}: at most 1")

    def back_up(self, value: np.ndarray) -> np.ndarray:
        """Return r(s, a) + gamma * E[V(s')], float64[S, A], 0 where an action isn't legal.

        Args:
            value: float64[S].
        """
        weight = self.probability * ~self.terminated
        following = (weight * value[self.next_state]).sum(axis=2)
        return np.where(self.legal, self.reward + self.gamma * following, 0.0)

    def greedy(self, q_values: np.ndarray) -> np.ndarray:
        """Return the first of the best legal actions of each state, int64[S]."""
        return np.where(self.legal, q_values, -np.inf).argmax(axis=1)

    def greedy_value(self, q_values: np.ndarray) -> np.ndarray:
        """Return the value of each state's best legal action, float64[S]."""
        best = np.where(self.legal, q_values, -np.inf).max(axis=1)
        return np.where(self.legal.any(axis=1), best, 0.0)


def solve(mdp: TabularMDP, *, tolerance: float = 1e-9, max_sweeps: int = 1_000_000) -> np.ndarray:
    """Return Q*, float64[S, A], by value iteration from 0 (Sutton & Barto 2018, section 4.4).

    For |gamma| < 1 no value is further than ``tolerance`` from Q*: sweeps go on until the largest
    change is below tolerance * (1 - |gamma|) / |gamma|. At gamma = 1 there is no such bound; sweeps
    go on until no value changes by ``tolerance``.

    Raises:
        RuntimeError: ``max_sweeps`` were not enough, as where rewards add up for ever.
    """
    size = abs(mdp.gamma)
    enough = tolerance * (1 - size) / size if 0 < size < 1 else tolerance
    q_values = np.zeros_like(mdp.reward)
    for _ in range(max_sweeps):
        following = mdp.back_up(mdp.greedy_value(q_values))
        change = np.abs(following - q_values).max()
        q_values = following
        if change <= enough:
            return q_values
    raise RuntimeError(f"values still change by {change:.3g} after {max_sweeps:,} sweeps")


def policy_value(mdp: TabularMDP, action: np.ndarray, *, horizon: int | None = None) -> np.ndarray:
    """Return what always taking ``action`` is worth in each state, float64[S].

    Args:
        mdp: the process.
        action: int[S].
        horizon: steps after which an episode is cut off; None: never. At gamma = 1 a policy that
            may go on for ever needs one.
    """
    states = np.arange(len(action))
    weight = mdp.probability[states, action] * ~mdp.terminated[states, action]
    weight = weight * mdp.legal[states, action][:, None]
    reward = np.where(mdp.legal[states, action], mdp.reward[states, action], 0.0)
    following = mdp.next_state[states, action]
    if horizon is not None:
        value = np.zeros(len(action))
        for _ in range(horizon):
            value = reward + mdp.gamma * (weight * value[following]).sum(axis=1)
        return value
    step = np.zeros((len(action), len(action)))
    np.add.at(step, (states[:, None], following), weight)
    return np.linalg.solve(np.eye(len(action)) - mdp.gamma * step, reward)


def from_gymnasium(environment: Any, *, gamma: float, masks: bool = False) -> TabularMDP:
    """Return the process of one of gymnasium's toy texts: FrozenLake, Taxi, CliffWalking.

    Args:
        environment: has ``unwrapped.P``, outcomes (probability, next state, reward, terminated)
            of each state and action, and ``initial_state_distrib``.
        gamma: discount of one step.
        masks: whether only those actions are legal that ``unwrapped.action_mask`` allows.

    Raises:
        ValueError: it tells no such table.
    """
    table = getattr(environment.unwrapped, "P", None)
    if table is None:
        raise ValueError(f"environment={environment}: has no table P of its outcomes")
    num_states, num_actions = len(table), len(table[0])
    most = max(len(outcomes) for actions in table.values() for outcomes in actions.values())
    shape = (num_states, num_actions, most)
    probability, gains = np.zeros(shape), np.zeros(shape)
    next_state, terminated = np.zeros(shape, np.int64), np.zeros(shape, bool)
    for state, actions in table.items():
        for action, outcomes in actions.items():
            for k, (chance, following, gain, ends) in enumerate(outcomes):
                cell = state, action, k
                probability[cell], next_state[cell] = chance, following
                gains[cell], terminated[cell] = gain, ends
    legal = np.ones((num_states, num_actions), bool)
    if masks:
        legal = np.stack([environment.unwrapped.action_mask(s) for s in range(num_states)]) > 0
    start = np.array(environment.unwrapped.initial_state_distrib, np.float64)
    reward = (probability * gains).sum(axis=2)
    return TabularMDP(
        probability, next_state, terminated, reward, legal, start / start.sum(), gamma
    )
