"""Torsos of Q-networks as lists of layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Layer = str | Mapping[str, Any]


def mlp(hidden: Sequence[int] = (256, 256), activation: str = "ReLU") -> list[Layer]:
    """Return the layers of a perceptron with ``hidden`` units in each layer."""
    return ["Flatten", *(layer for size in hidden for layer in ({"Linear": int(size)}, activation))]


def layer_list(layers: Sequence[Layer]) -> list[Layer]:
    """Return ``layers`` as they are: how a configuration names a network of the user's own."""
    return list(layers)


def minatar_cnn() -> list[Layer]:
    """Return the torso of Young & Tian 2019 (arxiv.org/abs/1903.03176) for 10x10xC images."""
    conv = {"Conv2d": {"out_channels": 16, "kernel_size": 3}}
    return ["ChannelsFirst", conv, "ReLU", "Flatten", {"Linear": 128}, "ReLU"]


def nature_cnn() -> list[Layer]:
    """Return the torso of Mnih et al. 2015 for stacks of 84x84 frames, [S, 84, 84]."""
    sizes = ((32, 8, 4), (64, 4, 2), (64, 3, 1))
    convs: list[Layer] = []
    for channels, kernel, stride in sizes:
        conv = {"out_channels": channels, "kernel_size": kernel, "stride": stride}
        convs += [{"Conv2d": conv}, "ReLU"]
    return [*convs, "Flatten", {"Linear": 512}, "ReLU"]
