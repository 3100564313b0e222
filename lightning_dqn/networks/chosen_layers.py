"""Layers that are chosen by their names or by a part, and new initial weights for them."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from itertools import chain

import torch
from torch import nn

from lightning_dqn.networks.alignment import matches
from lightning_dqn.networks.parts import Part, names_of_part


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
        if reset_parameters is not None and matches(name, include, exclude):
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
        if any(True for _ in layer.parameters(recurse=False)) and matches(name, include, exclude)
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
