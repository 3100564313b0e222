"""What happens to gradients between the loss and the optimizer: norm, clipping, check, layout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class SafeGradients(NamedTuple):
    """Gradients that may be given to an optimizer.

    Attributes:
        gradients: clipped; all zero if one of them or the loss was not finite.
        norm: the L2 norm of all of them together before clipping, float[]; NaN or inf shows
            that they were not finite.
        squares: of each gradient the sum of its elements' squares, float[P]: tells which one was
            not finite.
    """

    gradients: list[Tensor]
    norm: Tensor
    squares: Tensor


def make_safe(
    loss: Tensor, gradients: Sequence[Tensor], max_norm: float | None = None
) -> SafeGradients:
    """Clip gradients by their global norm, and zero them if anything is not finite.

    Nothing is read back to the CPU, so the whole of it can be compiled with the loss.

    Args:
        loss: float[].
        gradients: of every parameter.
        max_norm: the largest L2 norm that passes unscaled; None doesn't clip.
    """
    squares = torch.stack([gradient.float().square().sum() for gradient in gradients])
    # A loss that isn't finite may have finite gradients: let the norm tell of it too.
    norm = squares.sum().sqrt() + 0.0 * loss.float()
    finite = torch.isfinite(norm)
    scale = torch.ones_like(norm)
    if max_norm is not None:
        scale = (max_norm / (norm + 1e-6)).clamp_max(1.0)
    safe = [torch.where(finite, g * scale.to(g.dtype), torch.zeros_like(g)) for g in gradients]
    return SafeGradients(safe, norm, squares)


def laid_out_like(parameters: Sequence[Tensor], tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return tensors that lie in memory as their parameters do, copied where they lie otherwise.

    Fused optimizers go through memory, not through indices: on the CPU they add to each weight
    what belongs to another, without a word, and on a GPU they refuse. ``backward`` lays gradients
    out; those of ``torch.autograd.grad`` lie as the operation left them: a convolution's has the
    layout of its input, and images are stored channels last.

    Args:
        parameters: of any strides.
        tensors: one of the same shape for each.
    """
    return [
        tensor
        if tensor.stride() == parameter.stride()
        else torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor)
        for parameter, tensor in zip(parameters, tensors, strict=True)
    ]
