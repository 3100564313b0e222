"""Weight decay that spares biases."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn


def adamw(
    parameters: Iterable[nn.Parameter],
    *,
    lr: float = 1e-3,
    eps: float = 1e-8,
    weight_decay: float = 0.01,
    fused: bool = True,
) -> torch.optim.AdamW:
    """Return AdamW (Loshchilov & Hutter 2019, arxiv.org/abs/1711.05101) without decay of biases.

    Weights shrink by lr * weight_decay of themselves in each step, beside what Adam does.

    Args:
        parameters: those of more than one axis decay; of biases and normalisations none does.
        lr: learning rate.
        eps: added to Adam's denominator.
        weight_decay: share of the weights.
        fused: one kernel for the whole step.
    """
    everything = list(parameters)
    groups: list[dict[str, Any]] = [
        {"params": [p for p in everything if p.ndim > 1]},
        {"params": [p for p in everything if p.ndim <= 1], "weight_decay": 0.0},
    ]
    filled = [group for group in groups if group["params"]]
    return torch.optim.AdamW(filled, lr=lr, eps=eps, weight_decay=weight_decay, fused=fused)
