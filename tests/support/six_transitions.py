"""A minibatch with one of everything, for tests of the loss."""

from __future__ import annotations

from typing import Any

import torch

from lightning_dqn.transitions import Transitions


def six_transitions(*, seed: int = 5, **changed: Any) -> Transitions:
    """An opponent's turn, terminations with and without legal actions, several steps, masks."""
    generator = torch.Generator().manual_seed(seed)
    batch = Transitions(
        observation=torch.randn(6, 2, generator=generator),
        action=torch.tensor([0, 1, 2, 0, 1, 2]),
        reward=torch.tensor([0.5, -1.0, 0.0, 2.0, -0.3, 1.0]),
        discount=torch.tensor([0.9, 0.9, -0.9, 0.0, 0.99**3, 0.0]),
        next_observation=torch.randn(6, 2, generator=generator),
        next_action_mask=torch.tensor(
            [[1, 1, 1], [1, 0, 1], [0, 1, 0], [0, 0, 0], [0, 1, 1], [1, 1, 1]]
        ).bool(),
        action_mask=torch.tensor(
            [[1, 1, 1], [1, 1, 0], [0, 1, 1], [1, 0, 0], [1, 1, 1], [0, 0, 1]]
        ).bool(),
    )
    return batch._replace(**changed)
