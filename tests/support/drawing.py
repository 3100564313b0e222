"""Drawing from a sampler by hand: a learner whose values never change, and draws with it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lightning_dqn.replay.samplers.sampler import Sampler
from lightning_dqn.transitions import Transitions


class RandomValues:
    """A learner that values every action of an observation differently and never learns."""

    num_actions = 4

    def greedy_value(self, observation: Tensor, action_mask: Tensor | None = None) -> Tensor:
        """Return the highest value of a legal action, float[M]."""
        flat = observation.flatten(1).float()
        place = flat @ torch.arange(1.0, flat.shape[1] + 1)
        q_values = torch.sin(place.unsqueeze(1) * torch.arange(1.0, self.num_actions + 1))
        if action_mask is not None:
            q_values = q_values.masked_fill(~action_mask, -torch.inf)
        return q_values.amax(dim=1)

    def act(self, observation: np.ndarray, action_mask: np.ndarray | None = None) -> np.ndarray:
        """Take the first action."""
        return np.zeros(len(observation), np.int64)

    def behaviour_policy(self) -> RandomValues:
        """Return itself: it never learns."""
        return self

    def of(self, observation: np.ndarray, action_mask: np.ndarray | None) -> float:
        """Return the value of one observation."""
        mask = None if action_mask is None else torch.from_numpy(action_mask)[None]
        return float(self.greedy_value(torch.from_numpy(observation)[None], mask))


def draw(sampler: Sampler, num_updates: int, batch_size: int, env_steps: int = 0) -> Transitions:
    """Return minibatches [U, B, ...]."""
    return sampler.sample(num_updates, batch_size, env_steps, RandomValues())
