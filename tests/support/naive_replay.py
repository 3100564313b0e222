"""The naive twin of the replay ring: lists of episodes and obvious loops, no index arithmetic.

Also the scripts that both are tried on.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from lightning_dqn.transitions import NO_ACTION, Rows, Transitions
from support.scripted_env import EpisodeScript

endings = st.sampled_from([(True, False), (False, True), (True, True)])
rewards = st.lists(st.integers(-8, 8).map(lambda x: x / 4), min_size=1, max_size=6).map(tuple)
lives_lost = st.sets(st.integers(0, 5), max_size=3).map(tuple)
one_episode = st.builds(lambda r, e, lost: EpisodeScript(r, *e, lost), rewards, endings, lives_lost)
scripts_of_envs = st.lists(st.lists(one_episode, min_size=1, max_size=4), min_size=1, max_size=3)


def chunks(rows: Rows, sizes: list[int]) -> list[Rows]:
    """Split rows over time into parts of these sizes, repeated as needed."""
    parts, begin = [], 0
    while begin < len(rows.action):
        end = begin + sizes[len(parts) % len(sizes)]
        parts.append(Rows(*(None if c is None else c[begin:end] for c in rows)))  # type: ignore[arg-type]
        begin = end
    return parts


class Row(NamedTuple):
    """One row of one environment; ``time`` counts all rows since the beginning."""

    time: int
    observation: np.ndarray
    action: int
    reward: float
    terminated: bool
    truncated: bool
    action_mask: np.ndarray | None
    life_lost: bool | None = None


class NaiveTransition(NamedTuple):
    """What the ring must say of one start."""

    observation: np.ndarray
    action: int
    reward: float
    discount: float
    next_observation: np.ndarray
    next_action_mask: np.ndarray | None
    action_mask: np.ndarray | None
    weight: None = None
    sequence_observation: np.ndarray | None = None
    sequence_action: np.ndarray | None = None
    sequence_within: np.ndarray | None = None


class NaiveReplay:
    """Keeps every episode of every environment for ever and forgets nothing.

    What the ring would have overwritten is left out only when starts are listed.
    """

    def __init__(
        self,
        num_envs: int,
        num_times: int,
        *,
        gamma: float,
        n_step: int,
        frame_stack: int,
        reward_clip: float | None = None,
        sequence_length: int | None = None,
    ) -> None:
        self.num_envs = num_envs
        self.num_times = num_times
        self.gamma = gamma
        self.n_step = n_step
        self.frame_stack = frame_stack
        self.reward_clip = math.inf if reward_clip is None else reward_clip
        self.sequence_length = sequence_length
        self.now = 0
        self.episodes: list[list[list[Row]]] = [[[]] for _ in range(num_envs)]

    def extend(self, rows: Rows) -> None:
        """Append each row to its environment's newest episode; a final row closes that."""
        for t in range(len(rows.action)):
            for env in range(self.num_envs):
                values: list[Any] = [None if c is None else c[t, env] for c in rows[:-1]]
                self.episodes[env][-1].append(Row(self.now, *values))
                if rows.action[t, env] == NO_ACTION:
                    self.episodes[env].append([])
            self.now += 1

    def starts(self, n_step: int | None = None) -> dict[int, NaiveTransition]:
        """Return the transition of every start, by the cell that the ring keeps it in."""
        n_step = n_step or self.n_step
        return {
            (row.time % self.num_times) * self.num_envs + env: self._transition(episode, i, n_step)
            for env in range(self.num_envs)
            for episode in self.episodes[env]
            for i, row in enumerate(episode)
            if self._is_start(row)
        }

    def time_of(self, cell: int) -> int:
        """Return when the row that the ring keeps in this cell was made."""
        newest = self.now - 1
        return newest - (newest - cell // self.num_envs) % self.num_times

    def _is_start(self, row: Row) -> bool:
        is_newest = row.time == self.now - 1
        oldest = max(0, self.now - self.num_times)
        if self.now >= self.num_times:  # the ring no longer knows what came before its oldest row
            oldest += self.frame_stack - 1
        return row.action != NO_ACTION and not is_newest and row.time >= oldest

    def _transition(self, episode: list[Row], i: int, n_step: int) -> NaiveTransition:
        reward, discount, j = 0.0, 1.0, i
        for row in episode[i : i + n_step]:
            if row.action == NO_ACTION or row.time == self.now - 1:
                break
            reward += discount * self.counted(row)
            discount *= 0.0 if row.terminated or row.life_lost else self.gamma
            j += 1
            if row.life_lost:
                break
        return NaiveTransition(
            self.stack(episode, i),
            int(episode[i].action),
            reward,
            discount,
            self.stack(episode, j),
            episode[j].action_mask,
            episode[i].action_mask,
            None,
            *self._sequence(episode, i),
        )

    def _sequence(self, episode: list[Row], i: int) -> tuple[np.ndarray | None, ...]:
        """Return observations, actions and which count, of as many steps as come after the i-th."""
        if self.sequence_length is None:
            return (None, None, None)
        begin = life_begin(episode, i)
        seen = [(row.observation, int(row.action)) for row in episode[begin : i + 1]]
        within = []
        for _ in range(self.sequence_length):
            row = episode[i]
            over = row.terminated or row.truncated or row.life_lost or row.time == self.now - 1
            within.append(not over and (not within or within[-1]))
            if within[-1]:
                i += 1
                seen.append((episode[i].observation, int(episode[i].action)))
            else:
                seen.append(seen[-1])
        stacks, actions = [], [seen[-self.sequence_length - 1 + k][1] for k in range(len(within))]
        for k in range(len(seen) - self.sequence_length, len(seen)):
            frames = [seen[max(0, k - s)][0] for s in reversed(range(self.frame_stack))]
            stacks.append(frames[0] if self.frame_stack == 1 else np.stack(frames))
        return np.stack(stacks), np.array(actions), np.array(within)

    def counted(self, row: Row) -> float:
        """Return a row's reward as it is learned from."""
        return max(-self.reward_clip, min(self.reward_clip, float(row.reward)))

    def stack(self, episode: list[Row], i: int) -> np.ndarray:
        """Return the i-th observation of an episode, with the frames of its life before it."""
        if self.frame_stack == 1:
            return episode[i].observation
        begin = life_begin(episode, i)
        frames = range(i - self.frame_stack + 1, i + 1)
        return np.stack([episode[max(begin, k)].observation for k in frames])


def life_begin(episode: list[Row], i: int) -> int:
    """Return where in its episode the life of the i-th row begins."""
    return max((k + 1 for k in range(i) if episode[k].life_lost), default=0)


def assert_transition_is(
    transitions: Transitions, at: int | tuple[int, int], expected: NaiveTransition
) -> None:
    """Compare the transition at this place, its weight aside, with the twin's."""
    for name, value in expected._asdict().items():
        if name == "weight":
            continue
        column = getattr(transitions, name)
        if value is None:
            assert column is None
        else:
            np.testing.assert_allclose(column[at].numpy(), value, rtol=1e-6, atol=1e-6)
