"""AdamW that spares biases: what it was asked for is what it goes by."""

from __future__ import annotations

import torch
from torch import nn

from lightning_dqn.learning.weight_decay import adamw


def test_both_groups_have_the_rate_and_epsilon_and_weights_alone_decay() -> None:
    weight, bias = nn.Parameter(torch.ones(2, 3)), nn.Parameter(torch.ones(2))
    groups = adamw([weight, bias], lr=0.5, eps=1.5e-4, weight_decay=0.1, fused=False).param_groups
    assert [(group["lr"], group["eps"]) for group in groups] == [(0.5, 1.5e-4)] * 2
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]
    assert [group["params"] for group in groups] == [[weight], [bias]]
