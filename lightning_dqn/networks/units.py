"""The units of a Q-network's torso: what feeds each, and who reads it.

Shapes: B batch, F features.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from lightning_dqn.networks.layers import NoisyLinear
from lightning_dqn.networks.modes import in_evaluation_mode
from lightning_dqn.networks.q_network import QNetwork

LAYERS = (nn.Linear, NoisyLinear, nn.Conv2d)
"""Every parameter of these is [units] or [units, inputs, ...]."""

ACTIVATIONS = (
    nn.CELU,
    nn.ELU,
    nn.GELU,
    nn.Hardsigmoid,
    nn.Hardswish,
    nn.Hardtanh,
    nn.LeakyReLU,
    nn.Mish,
    nn.ReLU,
    nn.ReLU6,
    nn.SELU,
    nn.SiLU,
    nn.Sigmoid,
    nn.Softplus,
    nn.Softsign,
    nn.Tanh,
)
NORMALISATIONS = (nn.LayerNorm, nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm)
POOLS = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveMaxPool2d, nn.AdaptiveAvgPool2d)
PASSING = (nn.Identity, nn.Dropout, nn.Dropout2d, nn.Flatten)
"""Layers between an activation and the next layer's input that keep units apart."""


DORMANT_UP_TO = 0.025
"""The score up to which a unit counts as dormant, sec. 3 of Sokar et al. 2023."""


class Units(NamedTuple):
    """The units of one layer: the outputs of a linear layer or a convolution's channels.

    Attributes:
        name: of the layer in the torso.
        number: of units.
        incoming: the layer and what normalises its output: the first axis of their parameters
            is that of the units.
        activation: position in the torso of the activation whose output is the units'.
        readers: the layers that read the units, on the second axis of their weights; there a
            channel may have several places side by side.
    """

    name: str
    number: int
    incoming: list[nn.Module]
    activation: int
    readers: list[nn.Module]


class _Unclear(Exception):
    """The units of a layer can't be told apart, for the reason that is given."""


def find_units(network: nn.Module, observation: Tensor) -> tuple[list[Units], list[str]]:
    """Find the units of a torso.

    Args:
        network: a Q-network built from a list of layers.
        observation: [B, ...], any, for the shapes.

    Returns:
        The units, and for each layer that was left out a text with its name and the reason.

    Raises:
        ValueError: the network isn't of that kind.
    """
    if not isinstance(network, QNetwork):
        raise ValueError(
            f"network={type(network).__name__}: only a network built from a list of layers has a "
            "torso whose units can be found"
        )
    outputs = torso_outputs(network, observation)
    found, left_out = [], []
    for position, layer in enumerate(network.torso):
        if isinstance(layer, NORMALISATIONS) or not any(True for _ in layer.parameters()):
            continue
        try:
            found.append(_units_of(network, position, outputs))
        except _Unclear as reason:
            left_out.append(f"torso.{position} ({type(layer).__name__}): {reason}")
    return found, left_out


@torch.no_grad()
def torso_outputs(network: QNetwork, observation: Tensor) -> list[Tensor]:
    """Return the output [B, ...] of every layer of the torso, in evaluation mode."""
    outputs = []
    with in_evaluation_mode(network):
        output = network.preprocess(observation)
        for layer in network.torso:
            output = layer(output)
            outputs.append(output)
    return outputs


def dormant_scores(activation: Tensor) -> Tensor:
    """Return each unit's mean |activation| over its layer's mean, eq. 1 of Sokar et al. 2023.

    Args:
        activation: float[B, units, ...]; all axes but the units' are averaged over.

    Returns:
        float[units], on average 1; all 0 where the whole layer is silent.
    """
    size = activation.float().abs().transpose(0, 1).flatten(1).mean(dim=1)
    return size / size.mean().clamp_min(1e-9)


def _units_of(network: QNetwork, position: int, outputs: list[Tensor]) -> Units:
    layers = list(network.torso)
    layer, output = layers[position], outputs[position]
    if type(layer) not in LAYERS:
        raise _Unclear("a layer whose units aren't known")
    if isinstance(layer, nn.Linear) and output.ndim != 2:
        raise _Unclear(f"its output has {output.ndim} axes, expected 2")
    incoming, place = [layer], position + 1
    while place < len(layers) and isinstance(layers[place], NORMALISATIONS):
        _check_normalisation(layers[place], output)
        incoming.append(layers[place])
        place += 1
    if place == len(layers) or type(layers[place]) not in ACTIVATIONS:
        following = type(layers[place]).__name__ if place < len(layers) else "the head"
        raise _Unclear(f"expected an activation after it, found {following}")
    readers = _readers(network, place, outputs, are_channels=output.ndim == 4)
    return Units(f"torso.{position}", output.shape[1], incoming, place, readers)


def _check_normalisation(layer: nn.Module, output: Tensor) -> None:
    if isinstance(layer, nn.LayerNorm) and layer.normalized_shape != tuple(output.shape[1:]):
        raise _Unclear(f"expected LayerNorm over all axes, found {layer}")


def _readers(
    network: QNetwork, activation: int, outputs: list[Tensor], *, are_channels: bool
) -> list[nn.Module]:
    """Return the layers that read an activation's output, in the torso or in the head."""
    is_flat = not are_channels
    for layer in list(network.torso)[activation + 1 :]:
        if type(layer) in LAYERS:
            return [_checked_reader(layer, is_flat)]
        if isinstance(layer, nn.Flatten):
            if (layer.start_dim, layer.end_dim) != (1, -1):
                raise _Unclear(f"expected Flatten of all axes, found {layer}")
            is_flat = True
        elif not isinstance(layer, PASSING + (POOLS if are_channels else ())):
            raise _Unclear(f"expected a layer that reads it, found {type(layer).__name__}")
    return _readers_in_head(network.head, outputs[-1].flatten(1)[:1])


def _checked_reader(layer: nn.Module, is_flat: bool) -> nn.Module:
    if isinstance(layer, nn.Conv2d) and layer.groups > 1:
        raise _Unclear("a convolution in groups reads it")
    if isinstance(layer, nn.Linear) and not is_flat:
        raise _Unclear("a linear layer reads it without Flatten")
    return layer


@torch.no_grad()
def _readers_in_head(head: nn.Module, like: Tensor) -> list[nn.Module]:
    """Return the linear layers that read the features, after a look that nothing else does.

    Half of the features are changed in a trial. Who reads them sees an input that differs in
    these places and no others, at the latest when the readers found before it (as of learned
    fractions) read these no more. With the weights of all readers for them zeroed, the head's
    output must not differ at all.

    Args:
        head: from features to the network's output.
        like: float[1, F].
    """
    trial = deepcopy(head).eval()
    half = (like.shape[1] + 1) // 2
    drawn = torch.randn(2, like.shape[1], generator=torch.Generator().manual_seed(0))
    features = drawn.to(like.device, torch.get_default_dtype())
    changed = features.clone()
    changed[:, :half] += 1
    readers: list[str] = []
    while True:
        before, after = (_linear_inputs(trial, f) for f in (features, changed))
        found = [n for n in before if _differs_within(before[n], after[n], half)]
        if set(found) <= set(readers):
            break
        readers += [name for name in found if name not in readers]
        for weight in (p for n in readers for p in trial.get_submodule(n).parameters()):
            if weight.ndim > 1:
                weight[:, :half] = 0
    pairs = zip(_tensors(trial(features)), _tensors(trial(changed)), strict=True)
    if not readers or not all(torch.equal(one, other) for one, other in pairs):
        raise _Unclear("the head reads it in a way that isn't known")
    return [head.get_submodule(name) for name in readers]


def _linear_inputs(head: nn.Module, features: Tensor) -> dict[str, Tensor]:
    """Return what reaches the head's linear layers that may read features, by their names."""
    inputs: dict[str, Tensor] = {}

    def note(name: str) -> Any:
        return lambda layer, arguments: inputs.update({name: arguments[0]})

    handles = [
        layer.register_forward_pre_hook(note(name))
        for name, layer in head.named_modules()
        if type(layer) in LAYERS and getattr(layer, "in_features", 0) == features.shape[1]
    ]
    head(features)
    for handle in handles:
        handle.remove()
    return inputs


def _differs_within(one: Tensor, other: Tensor, half: int) -> bool:
    return torch.equal(one[..., half:], other[..., half:]) and not torch.equal(one, other)


def _tensors(output: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]
