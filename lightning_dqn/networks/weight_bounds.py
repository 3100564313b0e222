"""Weights held within a bound: of their values, their norms or their largest singular values."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_dqn.networks.alignment import Models, as_aligned, settle
from lightning_dqn.networks.normalisations import is_of_normalisation
from lightning_dqn.system.numbers import finite_number


@torch.no_grad()
def spectral_norms(
    model: Models, *, vectors: Sequence[Tensor] | None = None, iterations: int = 1
) -> tuple[list[Tensor], list[Tensor]]:
    """Estimate the largest singular value of every matrix, from below, by power iteration.

    Alg. 1 of Miyato et al. 2018 (arxiv.org/abs/1802.05957). A tensor of more than two axes
    counts as the matrix [out, rest]; what is no matrix is left out, see :func:`matrices`.

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
    flat = [matrix.flatten(1) for matrix in matrices(as_aligned(model).tensors[0])]
    if vectors is None:
        start = torch.Generator().manual_seed(0)
        vectors = [torch.randn(len(m), generator=start).to(m) for m in flat]
    norms, kept = [], []
    for matrix, vector in zip(flat, vectors, strict=True):
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
        max_spectral_norm: every matrix of a larger spectral norm is scaled down to it; others
            are left alone, see :func:`matrices`. Exactly one of the three.
        norms: with ``max_spectral_norm``, what :func:`spectral_norms` found; None: it is asked
            for 100 iterations.
    """
    clip_bound(max_value, max_norm, max_spectral_norm)
    aligned = as_aligned(model)
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
        _scale_down(matrices(tensors), norms, max_spectral_norm)
    settle(aligned.settling)


def matrices(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return the tensors that multiply vectors.

    One of a single axis doesn't, nor does the gain of a normalisation, whatever its axes: it
    multiplies number by number.
    """
    return [t for t in tensors if t.ndim > 1 and not is_of_normalisation(t)]


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


def _scale_down(tensors: list[Tensor], norms: Sequence[Tensor], bound: float) -> None:
    scales = [(bound / norm.clamp_min(1e-12)).clamp_max(1.0) for norm in norms]
    torch._foreach_mul_(tensors, scales)
