"""Parameters of a small network, and gradients of theirs at each step."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def weights(requires_grad: bool = True) -> list[nn.Parameter]:
    """Return the same values each time."""
    generator = torch.Generator().manual_seed(0)
    shapes = ((5, 4), (5,), (2, 5), (2,))
    return [nn.Parameter(torch.randn(s, generator=generator), requires_grad) for s in shapes]


def gradients(step: int) -> list[Tensor]:
    """Return those of a step, which is the same each time."""
    generator = torch.Generator().manual_seed(1 + step)
    return [torch.randn(weight.shape, generator=generator) for weight in weights()]
