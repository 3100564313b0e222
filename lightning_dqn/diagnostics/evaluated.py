"""Notes what a policy met in an evaluation, and holds its values against what came of it.

Shapes: T time, E environments, M states, A actions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lightning_dqn import td
from lightning_dqn.agent import Agent
from lightning_dqn.collecting.actor import Actor, Step
from lightning_dqn.diagnostics.returns import discounted_returns, overestimation

MOST_STATES = 512
"""States that are valued of one evaluation: their mean is known well enough by then."""


class _End(NamedTuple):
    """A truncated episode's last observation.

    Attributes:
        place: time and environment of the step that led there.
        observation: [*shape].
        action_mask: bool[A], or None where all are legal.
    """

    place: tuple[int, int]
    observation: np.ndarray
    action_mask: np.ndarray | None


class EvaluatedStates:
    """Looks on while :func:`lightning_dqn.collecting.evaluation.play_episodes` plays.

    Every reward is kept, and the states of every n-th step of all environments, where n doubles
    whenever there are too many of them: so they are spread evenly over all episodes.

    Args:
        most_states: of them, at most, one of each environment aside.
    """

    def __init__(self, most_states: int = MOST_STATES) -> None:
        self._most_states = most_states
        self._every_n_steps = 1
        self._states: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._actions: dict[int, np.ndarray] = {}
        self._rewards: list[np.ndarray] = []
        self._is_last: list[np.ndarray] = []
        self._ends: list[_End] = []
        self._unknown: list[tuple[int, int]] = []

    def before_step(self, observation: np.ndarray, decides: np.ndarray) -> None:
        """Note the states in which actions are about to be chosen.

        Args:
            observation: [E, *shape].
            decides: bool[E], where an episode goes on that counts.
        """
        time = len(self._rewards)
        if time % self._every_n_steps:
            return
        self._states[time] = observation.copy(), decides.copy()
        if len(self._states) * len(decides) > max(self._most_states, len(decides)):
            self._every_n_steps *= 2
            self._states = {t: s for t, s in self._states.items() if t % self._every_n_steps == 0}

    def after_step(self, step: Step, actor: Actor, is_cut: np.ndarray) -> None:
        """Note what came of them.

        Args:
            step: of all environments.
            actor: by now.
            is_cut: bool[E], whose episode was cut by evaluation.
        """
        time = len(self._rewards)
        if time in self._states:
            self._actions[time] = step.action.copy()
        self._rewards.append(step.reward.copy())
        closed = step.terminated if step.life_lost is None else step.terminated | step.life_lost
        is_last = actor.ended | is_cut
        self._is_last.append(is_last | closed)
        if is_last.any():
            self._note_ends(time, step, actor, is_last, closed)

    def overestimation(
        self, agent: Agent, gamma: float, reward_clip: float | None = None
    ) -> dict[str, float]:
        """Return how far the evaluation network's values lie above what came.

        Returns are as learning counts them: rewards clipped, and nothing after a lost life. What
        follows a truncation is taken to be worth what the network says, which draws the
        difference toward 0 for the states shortly before. Where evaluation acts at random now and
        then, the returns are those of that policy.

        Args:
            agent: that acted.
            gamma: discount of one env step.
            reward_clip: the largest reward that it learned from, of either sign; None: all.

        Returns:
            See :func:`lightning_dqn.diagnostics.returns.overestimation`.
        """
        chosen = [time for time in self._states if time in self._actions]
        if not chosen:
            return {}
        decides = np.stack([self._states[time][1] for time in chosen])
        if not decides.any():
            return {}
        observation = np.stack([self._states[time][0] for time in chosen])[decides]
        action = np.stack([self._actions[time] for time in chosen])[decides]
        returns = self._returns(agent, gamma, reward_clip)[chosen][decides]
        q_values = agent.q_values(observation)
        q_value = td.select_action(q_values, torch.from_numpy(action).to(q_values.device))
        return overestimation(_as_array(q_value), returns)

    def _returns(self, agent: Agent, gamma: float, reward_clip: float | None) -> np.ndarray:
        """Return what followed each step, float64[T, E]."""
        reward = np.stack(self._rewards)
        if reward_clip is not None:
            reward = reward.clip(-reward_clip, reward_clip)
        beyond = np.zeros(reward.shape)
        for place in self._unknown:
            beyond[place] = np.nan
        if self._ends:
            times, environments = zip(*(end.place for end in self._ends), strict=True)
            beyond[list(times), list(environments)] = self._values_of_ends(agent)
        return discounted_returns(reward, gamma, np.stack(self._is_last), beyond)

    def _values_of_ends(self, agent: Agent) -> np.ndarray:
        q_values = agent.q_values(np.stack([end.observation for end in self._ends]))
        masks = [end.action_mask for end in self._ends if end.action_mask is not None]
        mask = torch.from_numpy(np.stack(masks)).to(q_values.device) if masks else None
        return _as_array(td.select_action(q_values, td.greedy_action(q_values, mask)))

    def _note_ends(
        self, time: int, step: Step, actor: Actor, is_last: np.ndarray, closed: np.ndarray
    ) -> None:
        whole = {environment for environment, _ in step.episodes}
        for environment in map(int, np.flatnonzero(is_last)):
            is_broken = bool(actor.ended[environment]) and environment not in whole
            if is_broken:  # a worker was replaced: what is seen now is another episode's
                self._unknown.append((time, environment))
            elif not closed[environment]:
                mask = None if actor.action_mask is None else actor.action_mask[environment].copy()
                observation = actor.stacked[environment].copy()
                self._ends.append(_End((time, environment), observation, mask))


def _as_array(values: Tensor) -> np.ndarray:
    return values.double().cpu().numpy()
