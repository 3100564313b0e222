"""Uniform replay.

Shapes: U updates, B batch.
"""

from __future__ import annotations

from lightning_dqn.replay.samplers.sampler import Sampler
from lightning_dqn.transitions import Transitions, Valuer


class UniformSampler(Sampler):
    """Every transition of the ring is equally likely."""

    def sample(
        self, num_updates: int, batch_size: int, env_steps: int, valuer: Valuer
    ) -> Transitions:
        """Return minibatches [U, B, ...]."""
        return self.replay.sample(num_updates, batch_size)
