"""In-place operations on whole models, over any number of them in lock-step.

Models are walked by parameter name, so their order of definition doesn't matter, and all
tensors are changed by a few ``torch._foreach_*`` calls that never leave the device. An
operation changes its first model; the others are read. Where an operation is repeated,
:func:`align` the models once and pass the result on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from itertools import chain
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from lightning_dqn.networks.modes import in_evaluation_mode  # noqa: F401  # its place in 0.2
from lightning_dqn.networks.parts import Part, names_of_part
from lightning_dqn.system.numbers import finite_number

BufferPolicy = Literal["copy", "average", "skip"]


class Aligned(NamedTuple):
    """The same tensors of N models, side by side.

    Attributes:
        names: of the parameters, then of the buffers that are treated as parameters.
        tensors: N lists, each in the order of ``names``.
        copied: N lists of the buffers that are copied from the second model as they are.
        settling: layers of the first model with buffers that follow from its weights; by their
            ``settle`` they find them anew when weights were mixed.
        left_behind: those among them that a copy of weights comes to without these buffers.
    """

    names: list[str]
    tensors: tuple[list[Tensor], ...]
    copied: tuple[list[Tensor], ...]
    settling: list[Any]
    left_behind: list[Any]


Models = nn.Module | Aligned


def align(
    *models: nn.Module,
    include: str | None = None,
    exclude: str | None = None,
    buffers: BufferPolicy = "copy",
) -> Aligned:
    """Put the tensors of several models side by side, matched by name.

    Args:
        models: at least one; all must have the tensors that are chosen, of the same shapes.
        include: a regular expression searched in the names; None takes all.
        exclude: a regular expression; names in which it is found are left out.
        buffers: what happens to buffers such as BatchNorm's running statistics: ``"copy"``
            takes them from the second model, ``"average"`` treats them as parameters (those
            that aren't floating point are copied), ``"skip"`` leaves them alone. Buffers that
            follow from the weights, as those of a spectral norm, always follow them.

    Raises:
        ValueError: a model lacks a tensor or has it in another shape, or no name was chosen.
    """
    if not models:
        raise ValueError("align needs at least one model")
    if buffers not in ("copy", "average", "skip"):
        raise ValueError(f"buffers={buffers!r}: choose copy, average or skip")
    chosen = [name for name, _ in models[0].named_parameters() if _matches(name, include, exclude)]
    copied: list[str] = []
    for name, buffer in models[0].named_buffers():
        if buffers == "skip" or not _matches(name, include, exclude):
            continue
        averaged = buffers == "average" and buffer.is_floating_point()
        (chosen if averaged else copied).append(name)
    if not chosen and not copied:
        raise ValueError(f"no tensor is chosen by include={include!r}, exclude={exclude!r}")
    settling = _settling(models[0])
    taken = {*chosen, *copied}
    return Aligned(
        names=chosen,
        tensors=tuple(_tensors(model, chosen, models[0]) for model in models),
        copied=tuple(_tensors(model, copied, models[0]) for model in models),
        settling=list(settling.values()),
        left_behind=[
            layer
            for prefix, layer in settling.items()
            if not taken.issuperset(name for name, _ in layer.named_buffers(prefix))
        ],
    )


@contextmanager
def kept_buffers(model: nn.Module) -> Iterator[None]:
    """Give buffers, as BatchNorm's statistics, back the values that they have now.

    For who looks at a model in training mode and must not move it.
    """
    buffers = list(model.buffers())
    before = [buffer.clone() for buffer in buffers]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in zip(buffers, before, strict=True):
                buffer.copy_(value)


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
    aligned = _aligned(model, other)
    if aligned.names:
        torch._foreach_lerp_(aligned.tensors[0], aligned.tensors[1], weight)
    _copy_buffers(aligned)
    _settle(aligned.settling)


@torch.no_grad()
def copy(model: Models, other: nn.Module | None = None) -> None:
    """Copy: model <- other."""
    aligned = _aligned(model, other)
    if aligned.names:
        torch._foreach_copy_(aligned.tensors[0], aligned.tensors[1])
    _copy_buffers(aligned)
    _settle(aligned.left_behind)


@torch.no_grad()
def axpy(model: Models, other: nn.Module | None = None, *, alpha: float = 1.0, beta: float) -> None:
    """Scale and add: model <- alpha * model + beta * other. Buffers are left alone."""
    aligned = _aligned(model, other)
    if alpha != 1:
        torch._foreach_mul_(aligned.tensors[0], alpha)
    torch._foreach_add_(aligned.tensors[0], aligned.tensors[1], alpha=beta)
    _settle(aligned.settling)


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
    _settle(aligned.settling)


@torch.no_grad()
def perturb(model: Models, *, std: float, generator: torch.Generator | None = None) -> None:
    """Add Gaussian noise of standard deviation ``std`` to every parameter."""
    aligned = _aligned(model)
    tensors = aligned.tensors[0]
    noise = [
        torch.randn(t.shape, dtype=t.dtype, device=t.device, generator=generator) for t in tensors
    ]
    torch._foreach_add_(tensors, noise, alpha=std)
    _settle(aligned.settling)


@torch.no_grad()
def reset(model: nn.Module, *, include: str | None = None, exclude: str | None = None) -> list[str]:
    """Draw new initial weights for the layers whose names are chosen; return their names.

    A layer is chosen by its own name (``torso.2``) and reset by its ``reset_parameters``.

    Raises:
        ValueError: no layer was chosen.
    """
    names = []
    for name, layer in model.named_modules():
        reset_parameters = getattr(layer, "reset_parameters", None)
        if reset_parameters is not None and _matches(name, include, exclude):
            reset_parameters()
            names.append(name)
    if not names:
        raise ValueError(f"no layer is chosen by include={include!r}, exclude={exclude!r}")
    return names


def layers_with_weights(
    model: nn.Module,
    *,
    include: str | None = None,
    exclude: str | None = None,
    part: Part | None = None,
) -> dict[str, nn.Module]:
    """Return the layers that have parameters of their own and are chosen.

    Args:
        model: what they belong to.
        include: a regular expression searched in the layers' names (``torso.2``); None takes all.
        exclude: a regular expression; layers in whose names it is found are left out.
        part: ``"encoder"`` takes those in front of the first Flatten or linear layer, whatever
            they are called, ``"after_encoder"`` the others; None takes both.

    Raises:
        ValueError: no layer was chosen, or there is no such part.
    """
    layers = {name: model.get_submodule(name) for name in names_of_part(model, part)}
    layers = {
        name: layer
        for name, layer in layers.items()
        if any(True for _ in layer.parameters(recurse=False)) and _matches(name, include, exclude)
    }
    if not layers:
        chosen = f"include={include!r}, exclude={exclude!r}, part={part!r}"
        raise ValueError(f"no layer is chosen by {chosen}")
    return layers


@torch.no_grad()
def redrawn(layers: Sequence[nn.Module], *, seed: int) -> list[nn.Module]:
    """Return copies of layers with new initial weights, each layer's by its ``reset_parameters``.

    They are drawn on the CPU from ``seed`` alone: the same ones for any device, and whatever
    else is drawn at random goes on as if nothing had been.

    Raises:
        ValueError: a layer has no ``reset_parameters``.
    """
    copies = []
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        for layer in layers:
            if not callable(getattr(layer, "reset_parameters", None)):
                raise ValueError(
                    f"{type(layer).__name__} has weights but no reset_parameters to draw them "
                    "anew; leave it out by `exclude`, or give it one"
                )
            device = next(chain(layer.parameters(), layer.buffers())).device
            fresh = deepcopy(layer).cpu()
            fresh.reset_parameters()  # type: ignore[operator]
            copies.append(fresh.to(device))
    return copies


@torch.no_grad()
def spectral_norms(
    model: Models, *, vectors: Sequence[Tensor] | None = None, iterations: int = 1
) -> tuple[list[Tensor], list[Tensor]]:
    """Estimate the largest singular value of every matrix, from below, by power iteration.

    Alg. 1 of Miyato et al. 2018 (arxiv.org/abs/1802.05957). A tensor of more than two axes
    counts as the matrix [out, rest]; one of a single axis is no matrix and left out.

    Args:
        model: a model, or the first one of those that are aligned; it is read.
        vectors: float[out] of every matrix: what this function returned before. Kept from call
            to call they follow a matrix that changes slowly. None: random ones, always the same.
        iterations: at least 1; more come closer.

    Returns:
        The estimates, float[] each, and the vectors to go on with.
    """
    if iterations < 1:
        raise ValueError(f"iterations={iterations}: at least 1")
    matrices = [t.flatten(1) for t in _aligned(model).tensors[0] if t.ndim > 1]
    if vectors is None:
        start = torch.Generator().manual_seed(0)
        vectors = [torch.randn(len(m), generator=start).to(m) for m in matrices]
    norms, kept = [], []
    for matrix, vector in zip(matrices, vectors, strict=True):
        left = vector
        # Products of low precision would not come close to the bound.
        with torch.autocast(matrix.device.type, enabled=False):
            for _ in range(iterations):
                right = matrix.mT @ left
                image = matrix @ right
                left = image / image.norm().clamp_min(1e-30)
            norms.append(image.norm() / right.norm().clamp_min(1e-30))
        # A matrix of zeros has no direction: keep the one there was.
        kept.append(torch.where(norms[-1] > 0, left, vector))
    return norms, kept


@torch.no_grad()
def clip(
    model: Models,
    *,
    max_value: float | None = None,
    max_norm: float | None = None,
    max_spectral_norm: float | None = None,
    norms: Sequence[Tensor] | None = None,
) -> None:
    """Bound the parameters, without reading one back to the CPU.

    Args:
        model: the model that changes.
        max_value: every weight is clamped to [-max_value, max_value].
        max_norm: every tensor of a larger L2 norm is scaled down to it.
        max_spectral_norm: every matrix of a larger spectral norm is scaled down to it; tensors
            of one axis are left alone. Exactly one of the three.
        norms: with ``max_spectral_norm``, what :func:`spectral_norms` found; None: it is asked
            for 100 iterations.
    """
    clip_bound(max_value, max_norm, max_spectral_norm)
    aligned = _aligned(model)
    tensors = aligned.tensors[0]
    if max_value is not None:
        torch._foreach_clamp_max_(tensors, max_value)
        torch._foreach_clamp_min_(tensors, -max_value)
    elif max_norm is not None:
        _scale_down(tensors, torch._foreach_norm(tensors), max_norm)
    else:
        assert max_spectral_norm is not None
        if norms is None:
            norms, _ = spectral_norms(model, iterations=100)
        _scale_down([t for t in tensors if t.ndim > 1], norms, max_spectral_norm)
    _settle(aligned.settling)


def clip_bound(
    max_value: float | None, max_norm: float | None, max_spectral_norm: float | None
) -> dict[str, float]:
    """Return the one bound that is given, by its name.

    Raises:
        ValueError: none or several are given, or it isn't above 0.
    """
    bounds = {
        "max_value": max_value,
        "max_norm": max_norm,
        "max_spectral_norm": max_spectral_norm,
    }
    given = {name: bound for name, bound in bounds.items() if bound is not None}
    if len(given) != 1:
        text = ", ".join(f"{name}={bound}" for name, bound in bounds.items())
        raise ValueError(f"{text}: give exactly one of the three")
    [(name, bound)] = given.items()
    if not finite_number(name, bound) > 0:
        raise ValueError(f"{name}={bound}: must be above 0")
    return given


def step_size(tau: float | None, decay: float | None) -> float:
    """Return tau, given either tau or decay = 1 - tau.

    Raises:
        ValueError: both or none are given, or the value lies outside [0, 1].
    """
    if (tau is None) == (decay is None):
        raise ValueError(
            f"tau={tau}, decay={decay}: give exactly one of the two (decay = 1 - tau is the share "
            "of the old weights that stays)"
        )
    name, value = ("tau", tau) if tau is not None else ("decay", decay)
    check_share(name, value)  # type: ignore[arg-type]
    return tau if tau is not None else 1 - decay  # type: ignore[operator]


def check_share(name: str, value: float) -> None:
    """Refuse a tau or a decay outside [0, 1].

    Raises:
        ValueError: with its name.
    """
    if not 0 <= finite_number(name, value) <= 1:
        raise ValueError(f"{name}={value}: must lie between 0 and 1")


def _aligned(model: Models, other: nn.Module | None = None) -> Aligned:
    if isinstance(model, Aligned):
        return model
    return align(model) if other is None else align(model, other)


def _scale_down(tensors: list[Tensor], norms: Sequence[Tensor], bound: float) -> None:
    scales = [(bound / norm.clamp_min(1e-12)).clamp_max(1.0) for norm in norms]
    torch._foreach_mul_(tensors, scales)


def _copy_buffers(aligned: Aligned) -> None:
    if aligned.copied[0]:
        torch._foreach_copy_(aligned.copied[0], aligned.copied[1])


def _settling(model: nn.Module) -> dict[str, Any]:
    """Return the layers whose buffers follow from their weights, by name."""
    layers = dict(model.named_modules())
    return {n: layer for n, layer in layers.items() if callable(getattr(layer, "settle", None))}


def _settle(layers: Sequence[Any]) -> None:
    for layer in layers:
        layer.settle()


def _matches(name: str, include: str | None, exclude: str | None) -> bool:
    included = include is None or re.search(include, name) is not None
    return included and (exclude is None or re.search(exclude, name) is None)


def _tensors(model: nn.Module, names: list[str], first: nn.Module) -> list[Tensor]:
    tensors = dict(model.named_parameters()) | dict(model.named_buffers())
    reference = dict(first.named_parameters()) | dict(first.named_buffers())
    for name in names:
        if name not in tensors:
            raise ValueError(f"the models differ: {name!r} is missing in one of them")
        if tensors[name].shape != reference[name].shape:
            shapes = f"{tuple(reference[name].shape)} and {tuple(tensors[name].shape)}"
            raise ValueError(f"the models differ: {name!r} has the shapes {shapes}")
    return [tensors[name] for name in names]
