"""The naive twin of the replay ring: lists of episodes and obvious loops, no index arithmetic."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from lightning_dqn.transitions import NO_ACTION, Rows


class Row(NamedTuple):
    """One row of one environment; ``time`` counts all rows since the beginning."""

    time: int
    observation: np.ndarray
    action: int
    reward: float
    terminated: bool
    truncated: bool
    action_mask: np.ndarray | None


class NaiveTransition(NamedTuple):
    """What the ring must say of one start."""

    observation: np.ndarray
    action: int
    reward: float
    discount: float
    next_observation: np.ndarray
    next_action_mask: np.ndarray | None


class NaiveReplay:
    """Keeps every episode of every environment for ever and forgets nothing.

    What the ring would have overwritten is left out only when starts are listed.
    """

    def __init__(
        self, num_envs: int, num_times: int, *, gamma: float, n_step: int, frame_stack: int
    ) -> None:
        self.num_envs = num_envs
        self.num_times = num_times
        self.gamma = gamma
        self.n_step = n_step
        self.frame_stack = frame_stack
        self.now = 0
        self.episodes: list[list[list[Row]]] = [[[]] for _ in range(num_envs)]

    def extend(self, rows: Rows) -> None:
        """Append each row to its environment's newest episode; a final row closes that."""
        for t in range(len(rows.action)):
            for env in range(self.num_envs):
                values: list[Any] = [None if c is None else c[t, env] for c in rows]
                self.episodes[env][-1].append(Row(self.now, *values))
                if rows.action[t, env] == NO_ACTION:
                    self.episodes[env].append([])
            self.now += 1

    def starts(self) -> dict[int, NaiveTransition]:
        """Return the transition of every start, by the cell that the ring keeps it in."""
        return {
            (row.time % self.num_times) * self.num_envs + env: self._transition(episode, i)
            for env in range(self.num_envs)
            for episode in self.episodes[env]
            for i, row in enumerate(episode)
            if self._is_start(row)
        }

    def _is_start(self, row: Row) -> bool:
        is_newest = row.time == self.now - 1
        oldest = max(0, self.now - self.num_times)
        if self.now >= self.num_times:  # the ring no longer knows what came before its oldest row
            oldest += self.frame_stack - 1
        return row.action != NO_ACTION and not is_newest and row.time >= oldest

    def _transition(self, episode: list[Row], i: int) -> NaiveTransition:
        reward, discount, j = 0.0, 1.0, i
        for row in episode[i : i + self.n_step]:
            if row.action == NO_ACTION or row.time == self.now - 1:
                break
            reward += discount * float(row.reward)
            discount *= 0.0 if row.terminated else self.gamma
            j += 1
        return NaiveTransition(
            self._stack(episode, i),
            int(episode[i].action),
            reward,
            discount,
            self._stack(episode, j),
            episode[j].action_mask,
        )

    def _stack(self, episode: list[Row], i: int) -> np.ndarray:
        if self.frame_stack == 1:
            return episode[i].observation
        frames = range(i - self.frame_stack + 1, i + 1)
        return np.stack([episode[max(0, k)].observation for k in frames])
