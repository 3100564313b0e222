"""In-place operations on whole models, over any number of them in lock-step.

Models are walked by parameter name, so their order of definition doesn't matter, and all
tensors are changed by a few ``torch._foreach_*`` calls that never leave the device. An
operation changes its first model; the others are read. Where an operation is repeated,
:func:`align` the models once and pass the result on.

What aligns models, draws layers anew and bounds weights has files of its own, and is public here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import nn

from lightning_dqn.networks.alignment import Aligned as Aligned
from lightning_dqn.networks.alignment import BufferPolicy as BufferPolicy
from lightning_dqn.networks.alignment import Models as Models
from lightning_dqn.networks.alignment import align as align
from lightning_dqn.networks.alignment import as_aligned, settle
from lightning_dqn.networks.chosen_layers import layers_with_weights as layers_with_weights
from lightning_dqn.networks.chosen_layers import redrawn as redrawn
from lightning_dqn.networks.chosen_layers import reset as reset
from lightning_dqn.networks.modes import in_evaluation_mode as in_evaluation_mode
from lightning_dqn.networks.modes import kept_buffers as kept_buffers
from lightning_dqn.networks.weight_bounds import clip as clip
from lightning_dqn.networks.weight_bounds import clip_bound as clip_bound
from lightning_dqn.networks.weight_bounds import spectral_norms as spectral_norms
from lightning_dqn.system.numbers import finite_number

Given = TypeVar("Given")


@torch.no_grad()
def ema(
    average: Models,
    online: nn.Module | None = None,
    *,
    tau: float | None = None,
    decay: float | None = None,
) -> None:
    """Move an average toward a model: average <- decay * average + (1 - decay) * online.

    Args:
        average: the model that changes, or two aligned models.
        online: the model that is averaged.
        tau: the step toward ``online``, 1 - decay; 1 copies.
        decay: the share of the old average that stays. Exactly one of the two.
    """
    lerp(average, online, weight=step_size(tau, decay))


@torch.no_grad()
def lerp(model: Models, other: nn.Module | None = None, *, weight: float) -> None:
    """Interpolate: model <- model + weight * (other - model)."""
    if weight == 1:
        return copy(model, other)
    aligned = as_aligned(model, other)
    if aligned.names:
        torch._foreach_lerp_(aligned.tensors[0], aligned.tensors[1], weight)
    _copy_buffers(aligned)
    settle(aligned.settling)


@torch.no_grad()
def copy(model: Models, other: nn.Module | None = None) -> None:
    """Copy: model <- other."""
    aligned = as_aligned(model, other)
    if aligned.names:
        torch._foreach_copy_(aligned.tensors[0], aligned.tensors[1])
    _copy_buffers(aligned)
    settle(aligned.left_behind)


@torch.no_grad()
def axpy(model: Models, other: nn.Module | None = None, *, alpha: float = 1.0, beta: float) -> None:
    """Scale and add: model <- alpha * model + beta * other. Buffers are left alone."""
    aligned = as_aligned(model, other)
    if alpha != 1:
        torch._foreach_mul_(aligned.tensors[0], alpha)
    torch._foreach_add_(aligned.tensors[0], aligned.tensors[1], alpha=beta)
    settle(aligned.settling)


@torch.no_grad()
def average(model: nn.Module, *others: nn.Module, weights: Sequence[float] | None = None) -> None:
    """Set a model to the weighted mean of others: model <- sum_i weights_i * others_i.

    Args:
        model: the model that changes.
        others: one or more models that are read; ``model`` may be among them.
        weights: one for each of ``others``; equal ones that sum to 1 if None.
    """
    if not others:
        raise ValueError("average needs at least one model to read")
    weights = [1 / len(others)] * len(others) if weights is None else list(weights)
    aligned = align(model, *others)
    total = torch._foreach_mul(aligned.tensors[1], weights[0])
    for tensors, weight in zip(aligned.tensors[2:], weights[1:], strict=True):
        torch._foreach_add_(total, tensors, alpha=weight)
    torch._foreach_copy_(aligned.tensors[0], total)
    _copy_buffers(aligned)
    settle(aligned.settling)


@torch.no_grad()
def perturb(model: Models, *, std: float, generator: torch.Generator | None = None) -> None:
    """Add Gaussian noise of standard deviation ``std`` to every parameter."""
    aligned = as_aligned(model)
    tensors = aligned.tensors[0]
    noise = [
        torch.randn(t.shape, dtype=t.dtype, device=t.device, generator=generator) for t in tensors
    ]
    torch._foreach_add_(tensors, noise, alpha=std)
    settle(aligned.settling)


def step_size(tau: float | None, decay: float | None) -> float:
    """Return tau, given either tau or decay = 1 - tau.

    Raises:
        ValueError: both or none are given, or the value lies outside [0, 1].
    """
    name, value = tau_or_decay(tau, decay)
    check_share(name, value)
    return value if name == "tau" else 1 - value


def tau_or_decay(tau: Given | None, decay: Given | None) -> tuple[str, Given]:
    """Return which of the two is given, and its value.

    Raises:
        ValueError: both or none are given.
    """
    if tau is not None and decay is None:
        return "tau", tau
    if decay is not None and tau is None:
        return "decay", decay
    raise ValueError(
        f"tau={tau}, decay={decay}: give exactly one of the two (decay = 1 - tau is the share of "
        "the old weights that stays)"
    )


def check_share(name: str, value: float) -> None:
    """Refuse a tau or a decay outside [0, 1].

    Raises:
        ValueError: with its name.
    """
    if not 0 <= finite_number(name, value) <= 1:
        raise ValueError(f"{name}={value}: must lie between 0 and 1")


def _copy_buffers(aligned: Aligned) -> None:
    if aligned.copied[0]:
        torch._foreach_copy_(aligned.copied[0], aligned.copied[1])
