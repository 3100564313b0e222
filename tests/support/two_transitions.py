"""A minibatch small enough to work out its loss by hand."""

from __future__ import annotations

from typing import Any

import torch

from lightning_dqn.transitions import Transitions


def two_transitions(**changed: Any) -> Transitions:
    """Two observations of two numbers, two actions, and discounts that differ; no masks.

    The tests' networks are linear: online (s0, 2 s1), slow (3 s0, s1). So the predictions are 1 and
    2, the next online values (1, 2), (2, 0), the next slow ones (3, 1), (6, 0).
    """
    batch = Transitions(
        observation=torch.tensor([[1.0, 2.0], [2.0, 1.0]]),
        action=torch.tensor([0, 1]),
        reward=torch.tensor([1.0, -1.0]),
        discount=torch.tensor([0.5, 0.9]),
        next_observation=torch.tensor([[1.0, 1.0], [2.0, 0.0]]),
        next_action_mask=None,
    )
    return batch._replace(**changed)
