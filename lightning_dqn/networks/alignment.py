"""Tensors of several models side by side, matched by name, and which names are chosen.

Models are walked by parameter name, so their order of definition doesn't matter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from typing import Any, Literal, NamedTuple

from torch import Tensor, nn

from lightning_dqn.networks.normalisations import is_of_normalisation, mark_normalisations

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
    mark_normalisations(models[0])
    chosen = [name for name, _ in models[0].named_parameters() if matches(name, include, exclude)]
    copied: list[str] = []
    for name, buffer in models[0].named_buffers():
        if buffers == "skip" or not matches(name, include, exclude):
            continue
        averaged = buffers == "average" and buffer.is_floating_point()
        (chosen if averaged else copied).append(name)
    if not chosen and not copied:
        raise ValueError(f"no tensor is chosen by include={include!r}, exclude={exclude!r}")
    return Aligned(
        names=chosen,
        tensors=tuple(_tensors(model, chosen, models[0]) for model in models),
        copied=tuple(_tensors(model, copied, models[0]) for model in models),
        settling=list(_settling(models[0]).values()),
        left_behind=left_behind(models[0], {*chosen, *copied}),
    )


def without_normalisations(aligned: Aligned) -> Aligned:
    """Return models side by side without the gains and biases of their normalisations."""
    pairs = zip(aligned.names, aligned.tensors[0], strict=True)
    kept = [i for i, (_, tensor) in enumerate(pairs) if not is_of_normalisation(tensor)]
    return aligned._replace(
        names=[aligned.names[i] for i in kept],
        tensors=tuple([tensors[i] for i in kept] for tensors in aligned.tensors),
    )


def as_aligned(model: Models, other: nn.Module | None = None) -> Aligned:
    """Return models side by side, those as they are that were aligned before."""
    if isinstance(model, Aligned):
        return model
    return align(model) if other is None else align(model, other)


def matches(name: str, include: str | None, exclude: str | None) -> bool:
    """Return whether a name has ``include`` in it and not ``exclude``, regular expressions."""
    included = include is None or re.search(include, name) is not None
    return included and (exclude is None or re.search(exclude, name) is None)


def settle(layers: Sequence[Any]) -> None:
    """Let layers find their buffers anew that follow from their weights."""
    for layer in layers:
        layer.settle()


def left_behind(model: nn.Module, taken: Set[str]) -> list[Any]:
    """Return the layers with buffers that follow from their weights, where not all were taken.

    Args:
        model: whose layers they are.
        taken: names of the tensors that come to it from elsewhere.
    """
    return [
        layer
        for prefix, layer in _settling(model).items()
        if not taken >= {name for name, _ in layer.named_buffers(prefix)}
    ]


def _settling(model: nn.Module) -> dict[str, Any]:
    """Return the layers whose buffers follow from their weights, by name."""
    layers = dict(model.named_modules())
    return {n: layer for n, layer in layers.items() if callable(getattr(layer, "settle", None))}


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
