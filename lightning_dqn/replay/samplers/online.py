"""Plain online learning: every transition once, as soon as it was made.

Shapes: E environments, U updates, A actions, M transitions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lightning_dqn.replay.ring import ReplayBuffer
from lightning_dqn.replay.samplers.rollout import RolloutSampler
from lightning_dqn.transitions import Transitions, Valuer

Upcoming = Callable[[], tuple[np.ndarray, np.ndarray | None]]


@dataclass(frozen=True)
class OnlineTransitions:
    """Learning from every transition once, in order, as soon as it was made: no replay.

    Q-learning as Watkins 1989 has it: with ``rollout_length=1`` and one environment the next
    action is chosen by what the transition just made has left. Each transition is an update of
    its own, also where several environments or steps make an iteration: time goes first, then
    the environments in their order. There is no warm-up; n-step returns are refused.

    Args:
        rollout_length: env steps of each environment in an iteration. Above 1 the actions of an
            iteration come from the values at its start.
    """

    rollout_length: int = 1

    def __post_init__(self) -> None:
        if self.rollout_length < 1:
            raise ValueError(f"rollout_length={self.rollout_length}: at least 1")


class OnlineSampler(RolloutSampler):
    """Serves every new transition, oldest first, in minibatches of one.

    Args:
        replay: a ring that holds an iteration, rows of final observations included.
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
        observation, action_mask = self._upcoming()
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
