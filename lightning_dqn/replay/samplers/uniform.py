"""Uniform replay.

Shapes: U updates, B batch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from lightning_dqn.replay.ring import ReplayBuffer
from lightning_dqn.replay.samplers.sampler import Pace, Sampler, Upcoming
from lightning_dqn.transitions import Transitions, Valuer


@dataclass(frozen=True)
class UniformSampling:
    """Every transition of the ring is equally likely, Mnih et al. 2015."""

    gives_whole_targets: ClassVar[bool] = False
    can_be_shared: ClassVar[bool] = True

    def pace(self, asked: Pace) -> Pace:
        """Return the configured pace, with a warm-up of at least one transition."""
        return replay_pace(asked)

    def make(self, replay: ReplayBuffer, upcoming: Upcoming) -> UniformSampler:
        """Return the sampler."""
        return UniformSampler(replay)


class UniformSampler(Sampler):
    """Every transition of the ring is equally likely."""

    def sample(
        self, num_updates: int, batch_size: int, env_steps: int, valuer: Valuer
    ) -> Transitions:
        """Return minibatches [U, B, ...]."""
        return self.replay.sample(num_updates, batch_size)


def replay_pace(asked: Pace) -> Pace:
    """Return the pace of learning from replay, with a warm-up of at least one transition."""
    least = 2 * asked.num_envs
    return replace(asked, warmup_env_steps=max(asked.warmup_env_steps, least))
