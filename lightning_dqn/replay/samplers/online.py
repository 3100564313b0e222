"""Plain online learning: every transition once, as soon as it is made.

Shapes: E environments, U updates, A actions, M transitions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from lightning_dqn.replay.ring import ReplayBuffer
from lightning_dqn.replay.samplers.rollout import RolloutSampler, rollout_pace
from lightning_dqn.replay.samplers.sampler import Pace, Upcoming
from lightning_dqn.system.numbers import keep_whole
from lightning_dqn.transitions import Transitions, Valuer


@dataclass(frozen=True)
class OnlineTransitions:
    """Learning from every transition once, in order, as soon as it is made: no replay.

    Q-learning as in Watkins 1989: with ``rollout_length=1`` and one environment, every transition
    is learned from before the next action is chosen. Each transition is an update of its own, also
    if an iteration has several environments or steps: they are ordered by time, then by
    environment. There is no warm-up; n-step returns are refused.

    Args:
        rollout_length: env steps of each environment in an iteration. Above 1, all actions of an
            iteration come from the values at its start.
    """

    gives_whole_targets: ClassVar[bool] = False

    rollout_length: int = 1

    def __post_init__(self) -> None:
        keep_whole(self, rollout_length=1)

    def pace(self, asked: Pace) -> Pace:
        """Return the pace of an update for each transition.

        Raises:
            ValueError: rows would be collected in a thread, or n_step isn't 1.
        """
        if asked.overlap:
            raise ValueError(
                "overlap=True: online learning collects with what it has just learned; "
                "set overlap=False (of actors elsewhere synchronous=True) or sample from replay"
            )
        if asked.n_step != 1:
            raise ValueError(
                f"replay.n_step={asked.n_step}: online learning knows the next step "
                "only; set n_step=1 or sample from replay"
            )
        paced = rollout_pace(asked, self.rollout_length)
        return replace(
            paced,
            updates_per_iteration=paced.env_steps_per_iteration,
            batch_size=1,
            warmup_env_steps=0,
        )

    def make(self, replay: ReplayBuffer, upcoming: Upcoming) -> OnlineSampler:
        """Return the sampler."""
        return OnlineSampler(replay, upcoming)


class OnlineSampler(RolloutSampler):
    """Serves every new transition, oldest first, in minibatches of one.

    Args:
        replay: a ring that holds an iteration, including rows of final observations.
        upcoming: returns the observations [E, *shape] (or [E, S, *shape]) that follow the newest
            rows, and their legal actions bool[E, A] or None.
    """

    def __init__(self, replay: ReplayBuffer, upcoming: Upcoming) -> None:
        super().__init__(replay)
        self._upcoming = upcoming

    def sample(
        self, num_updates: int, batch_size: int, env_steps: int, valuer: Valuer
    ) -> Transitions:
        """Return as many minibatches as there are new transitions, [U, 1, ...]."""
        replay = self.replay
        cells = replay.newest_cells(self.take_new_times())
        is_start = self.starts_among(cells)
        starts = cells[is_start]
        transitions = replay.transitions_at(starts)
        self._complete(transitions, is_start[-1])
        return transitions.unflatten(len(starts), 1)

    def _complete(self, transitions: Transitions, is_newest: Tensor) -> None:
        """Fill in what follows the newest rows: it isn't in the ring yet.

        Args:
            transitions: [M, ...], in order of time, changed in place.
            is_newest: bool[E], the environments whose newest row is a start.
        """
        observation, action_mask = self._upcoming()  # finite: collecting has looked
        begin = len(transitions.action) - int(is_newest.sum())
        assert transitions.next_observation is not None
        environments = is_newest.cpu().numpy()
        transitions.next_observation[begin:] = torch.from_numpy(observation[environments]).to(
            transitions.next_observation
        )
        if transitions.next_action_mask is not None:
            mask = torch.ones(1, dtype=torch.bool)
            if action_mask is not None:
                mask = torch.from_numpy(action_mask[environments])
            transitions.next_action_mask[begin:] = mask.to(transitions.next_action_mask)
