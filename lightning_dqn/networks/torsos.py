"""What a Q-network is built from: a list of layers and how they are built.

A torso is written as a list, in YAML or in Python, and built against the environment's shapes:
``[{"Linear": 120}, "ReLU", {"Linear": 84}, "ReLU"]``. An entry names a class of ``torch.nn``,
``ChannelsFirst``, ``ResidualStage``, ``GridMaxPool2d`` or ``Renormalise``; its argument is the
output size alone (the input size follows from the layer before), a list of positional arguments
with the input size first, or a mapping of keyword arguments. The head that turns features into
action values is added after it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import nn

from lightning_dqn.networks.layers import LinearFactory, NoisyLinear, linear_with_hidden
from lightning_dqn.system.numbers import (
    finite_number,
    keep_plain,
    keep_switches,
    keep_whole,
    whole_number,
)

Layer = str | Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """How any list of layers becomes a Q-network.

    Args:
        dueling: split the last layer into value and advantage (Wang et al. 2016).
        noisy: linear layers of torso and head explore by learned noise (Fortunato et al. 2018).
        noisy_sigma: initial scale of that noise.
        layer_norm: normalise the output of every linear layer, convolution and residual stage of
            the torso.
        head_hidden: units of a hidden layer before the last one, with ``dueling`` one in each
            stream; heads that embed fractions have it after the embedding. None: no such layer.
    """

    dueling: bool = False
    noisy: bool = False
    noisy_sigma: float = 0.5
    layer_norm: bool = False
    head_hidden: int | None = None

    def __post_init__(self) -> None:
        keep_plain(self)
        keep_switches(self, "dueling", "noisy", "layer_norm")
        if not finite_number("noisy_sigma", self.noisy_sigma) >= 0:
            raise ValueError(f"noisy_sigma={self.noisy_sigma}: at least 0")
        keep_units(self, "head_hidden")

    @property
    def linear(self) -> LinearFactory:
        """Return what makes linear layers."""
        return partial(NoisyLinear, sigma=self.noisy_sigma) if self.noisy else nn.Linear

    @property
    def head_linear(self) -> LinearFactory:
        """Return what makes the layers from features to outputs."""
        if self.head_hidden is None:
            return self.linear
        return partial(linear_with_hidden, self.linear, self.head_hidden)


class Network(NetworkOptions, ABC):
    """What a Q-network is built from: a torso of layers and the options."""

    @abstractmethod
    def layer_list(self) -> list[Layer]:
        """Return the torso's layers, from observation to features."""


@dataclass(frozen=True, kw_only=True)
class Layers(Network):
    """A torso of your own.

    Args:
        layers: see the top of :mod:`lightning_dqn.networks.torsos`.
    """

    layers: Sequence[Layer]

    def layer_list(self) -> list[Layer]:
        """Return the layers."""
        return list(self.layers)


@dataclass(frozen=True, kw_only=True)
class MLP(Network):
    """A multilayer perceptron.

    Args:
        hidden: units of each layer.
        activation: torch.nn layer after each of them.
    """

    hidden: Sequence[int] = field(default=(256, 256))
    activation: str = "ReLU"

    def __post_init__(self) -> None:
        super().__post_init__()
        hidden = tuple(whole_number("hidden", units, least=1) for units in self.hidden)
        object.__setattr__(self, "hidden", hidden)

    def layer_list(self) -> list[Layer]:
        """Return the layers."""
        return mlp(self.hidden, self.activation)


@dataclass(frozen=True, kw_only=True)
class MinAtarCNN(Network):
    """One convolution and one hidden layer, for 10x10xC images: Young & Tian 2019.

    See arxiv.org/abs/1903.03176.
    """

    def layer_list(self) -> list[Layer]:
        """Return the layers."""
        return minatar_cnn()


@dataclass(frozen=True, kw_only=True)
class NatureCNN(Network):
    """Three convolutions and one hidden layer, for stacks of 84x84 frames: Mnih et al. 2015.

    Args:
        width: what its 32, 64 and 64 channels are multiplied by.
        hidden: units of the hidden layer; None: no such layer, as when the head has its own.
        renormalised: scale the convolutions' output to [0, 1], as for self-prediction
            (Schwarzer et al. 2021, arxiv.org/abs/2007.05929).
    """

    width: float = 1.0
    hidden: int | None = 512
    renormalised: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        keep_units(self, "hidden")
        _channels(32, self.width)

    def layer_list(self) -> list[Layer]:
        """Return the layers."""
        return nature_cnn(self.hidden, self.renormalised, self.width)


@dataclass(frozen=True, kw_only=True)
class DataEfficientCNN(Network):
    """Two convolutions, for stacks of 84x84 frames: van Hasselt et al. 2019.

    See arxiv.org/abs/1906.05243. The paper's hidden layers are the head's (``head_hidden=256``).

    Args:
        hidden: units of a hidden layer; None: no such layer, as when the head has its own.
    """

    hidden: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        keep_units(self, "hidden")

    def layer_list(self) -> list[Layer]:
        """Return the layers."""
        return data_efficient_cnn(self.hidden)


@dataclass(frozen=True, kw_only=True)
class Impala(Network):
    """Three residual stages and one hidden layer: Espeholt et al. 2018, the large network.

    See arxiv.org/abs/1802.01561, fig. 3.

    Args:
        width: what its 16, 32 and 32 channels are multiplied by.
        num_blocks: residual blocks of each stage.
        hidden: units of the hidden layer; None: no such layer, as when the head has its own.
        spectral_norm: divide the weights of the residual blocks by their spectral norm.
        pool: height and width that the last stage's image is max-pooled to; None: no pooling.
        renormalised: scale the last image to [0, 1], as in :class:`NatureCNN`.
    """

    width: int = 1
    num_blocks: int = 2
    hidden: int | None = 256
    spectral_norm: bool = False
    pool: int | None = None
    renormalised: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        keep_whole(self, width=1, num_blocks=0)
        keep_units(self, "hidden")
        keep_units(self, "pool")

    def layer_list(self) -> list[Layer]:
        """Return the layers."""
        layers: list[Layer] = []
        for channels in (16, 32, 32):
            stage: dict[str, Any] = {"out_channels": channels * self.width}
            stage |= {"num_blocks": self.num_blocks, "spectral_norm": self.spectral_norm}
            layers.append({"ResidualStage": stage})
        pooling: list[Layer] = [] if self.pool is None else [{"GridMaxPool2d": self.pool}]
        layers += ["ReLU", *pooling, *_scaling(self.renormalised)]
        return [*layers, "Flatten", *hidden_layer(self.hidden)]


@dataclass(frozen=True, kw_only=True)
class Tabular(Network):
    """A table instead of a network, for discrete states; see :mod:`lightning_dqn.networks.table`.

    Args:
        initial_value: initial value of every state and action.
        hidden: without effect; accepted since experiments set it for networks of layers.
    """

    initial_value: float = 0.0
    hidden: Sequence[int] | None = None

    def layer_list(self) -> list[Layer]:
        """Return the one entry that stands for a table."""
        return table(self.initial_value)


def mlp(hidden: Sequence[int] = (256, 256), activation: str = "ReLU") -> list[Layer]:
    """Return the layers of a perceptron with ``hidden`` units in each layer."""
    return ["Flatten", *(layer for size in hidden for layer in ({"Linear": int(size)}, activation))]


def table(initial_value: float = 0.0) -> list[Layer]:
    """Return the list that describes a table with ``initial_value`` in every place."""
    return [{"Table": {"initial_value": initial_value}}]


def minatar_cnn() -> list[Layer]:
    """Return the torso of Young & Tian 2019 (arxiv.org/abs/1903.03176) for 10x10xC images."""
    conv = {"Conv2d": {"out_channels": 16, "kernel_size": 3}}
    return ["ChannelsFirst", conv, "ReLU", "Flatten", {"Linear": 128}, "ReLU"]


def nature_cnn(
    hidden: int | None = 512, renormalised: bool = False, width: float = 1.0
) -> list[Layer]:
    """Return the torso of Mnih et al. 2015 for stacks of 84x84 frames, [S, 84, 84]."""
    channels = _channels(32, width)
    sizes = ((channels, 8, 4), (2 * channels, 4, 2), (2 * channels, 3, 1))
    return [*_convolutions(sizes), *_scaling(renormalised), "Flatten", *hidden_layer(hidden)]


def data_efficient_cnn(hidden: int | None = None) -> list[Layer]:
    """Return the torso of van Hasselt et al. 2019 for stacks of 84x84 frames, [S, 84, 84]."""
    return [*_convolutions(((32, 5, 5), (64, 5, 5))), "Flatten", *hidden_layer(hidden)]


def hidden_layer(units: int | None) -> list[Layer]:
    """Return a linear layer with its activation, nothing for None."""
    return [] if units is None else [{"Linear": units}, "ReLU"]


def _channels(channels: int, width: float) -> int:
    """Return so many channels times the width, a whole number from 1."""
    scaled = channels * width
    if not (1 <= scaled < math.inf and scaled == int(scaled)):
        raise ValueError(f"width={width}: {channels} channels become {scaled:g}, no whole number")
    return int(scaled)


def keep_units(torso: Any, name: str) -> None:
    """Make a size a whole number from 1, where one is given.

    Raises:
        ValueError: naming it, for it is none.
    """
    if getattr(torso, name) is not None:
        keep_whole(torso, **{name: 1})


def _scaling(is_wanted: bool) -> list[Layer]:
    return ["Renormalise"] if is_wanted else []


def _convolutions(sizes: Sequence[tuple[int, int, int]]) -> list[Layer]:
    """Return convolutions of channels, kernel and stride, each with its activation."""
    layers: list[Layer] = []
    for channels, kernel, stride in sizes:
        conv = {"out_channels": channels, "kernel_size": kernel, "stride": stride}
        layers += [{"Conv2d": conv}, "ReLU"]
    return layers
