"""Weight decay that spares biases and normalisations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from lightning_dqn.networks.normalisations import is_of_normalisation


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
        parameters: those of more than one axis decay; none does of biases, nor of normalisations,
            which the Q-network of an agent tells apart, whatever they normalise over.
        lr: learning rate.
        eps: added to Adam's denominator.
        weight_decay: share of the weights.
        fused: one kernel for the whole step.
    """
    everything = list(parameters)
    groups: list[dict[str, Any]] = [
        {"params": [p for p in everything if _decays(p)]},
        {"params": [p for p in everything if not _decays(p)], "weight_decay": 0.0},
    ]
    filled = [group for group in groups if group["params"]]
    return torch.optim.AdamW(filled, lr=lr, eps=eps, weight_decay=weight_decay, fused=fused)


def _decays(parameter: nn.Parameter) -> bool:
    return parameter.ndim > 1 and not is_of_normalisation(parameter)
