"""Descriptions of networks: which layers they stand for, and the sizes of the papers."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import nn

from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.networks.layers import NoisyLinear
from lightning_dqn.networks.q_network import QNetwork
from lightning_dqn.networks.residual import SpectralConv2d
from lightning_dqn.networks.torsos import (
    MLP,
    DataEfficientCNN,
    Impala,
    Layers,
    MinAtarCNN,
    NatureCNN,
    Network,
    NetworkOptions,
    Tabular,
    minatar_cnn,
    mlp,
    nature_cnn,
)

MINATAR = EnvironmentSpec((10, 10, 6), "bool", num_actions=6)
ATARI = EnvironmentSpec((84, 84), "uint8", num_actions=18, frame_stack=4)


# --- sizes of the papers


def test_the_nature_network_has_the_papers_sizes() -> None:
    network = QNetwork(ATARI, nature_cnn())
    kernels = [(c.out_channels, c.kernel_size[0], c.stride[0]) for c in _of(network, nn.Conv2d)]
    assert kernels == [(32, 8, 4), (64, 4, 2), (64, 3, 1)]
    assert [(n.in_features, n.out_features) for n in _of(network, nn.Linear)] == [
        (3136, 512),
        (512, 18),
    ]


@pytest.mark.parametrize(("width", "channels"), [(0.5, [16, 32, 32]), (2, [64, 128, 128])])
def test_the_nature_network_has_channels_times_its_width(width: float, channels: list[int]) -> None:
    network = QNetwork(ATARI, NatureCNN(width=width).layer_list())
    assert [c.out_channels for c in _of(network, nn.Conv2d)] == channels
    assert _of(network, nn.Linear)[0].in_features == channels[-1] * 7 * 7


@pytest.mark.parametrize(
    ("width", "found"), [(0.3, "9.6"), (0, "0"), (-1, "-32"), (math.nan, "nan"), (math.inf, "inf")]
)
def test_a_width_without_whole_channels_names_itself(width: float, found: str) -> None:
    with pytest.raises(ValueError, match=rf"^width={width}: 32 channels become {found}, no whole"):
        NatureCNN(width=width)


def test_the_minatar_network_has_the_papers_sizes() -> None:
    network = QNetwork(MINATAR, minatar_cnn())
    [conv] = _of(network, nn.Conv2d)
    assert (conv.in_channels, conv.out_channels, conv.kernel_size) == (6, 16, (3, 3))
    assert [(n.in_features, n.out_features) for n in _of(network, nn.Linear)] == [
        (1024, 128),
        (128, 6),
    ]


def test_the_data_efficient_network_has_the_papers_sizes() -> None:
    network = QNetwork(
        ATARI, DataEfficientCNN().layer_list(), options=NetworkOptions(head_hidden=256)
    )
    kernels = [(c.out_channels, c.kernel_size[0], c.stride[0]) for c in _of(network, nn.Conv2d)]
    assert kernels == [(32, 5, 5), (64, 5, 5)]
    sizes = [(n.in_features, n.out_features) for n in _of(network, nn.Linear)]
    assert sizes == [(576, 256), (256, 18)]


def test_the_impala_network_has_the_papers_sizes() -> None:
    network = QNetwork(ATARI, Impala().layer_list())
    assert [c.out_channels for c in _of(network, nn.Conv2d)] == [16] * 5 + [32] * 10
    sizes = [(n.in_features, n.out_features) for n in _of(network, nn.Linear)]
    assert sizes == [(32 * 11 * 11, 256), (256, 18)]
    # 3x3 kernels and biases by hand: 15 convolutions, the two linear layers
    convolutions = (4 * 16 + 4 * 16 * 16) * 9 + (16 * 32 + 4 * 32 * 32) * 9 + 5 * 32 * 32 * 9
    biases = 5 * 16 + 10 * 32
    linear = (3872 + 1) * 256 + (256 + 1) * 18
    assert sum(p.numel() for p in network.parameters()) == convolutions + biases + linear


def test_a_wide_impala_network_pools_its_last_image() -> None:
    layers = Impala(width=2, hidden=None, spectral_norm=True, pool=6).layer_list()
    network = QNetwork(ATARI, layers)
    assert [c.out_channels for c in _of(network, nn.Conv2d)] == [32] * 5 + [64] * 10
    assert sum(isinstance(c, SpectralConv2d) for c in _of(network, nn.Conv2d)) == 12
    [last] = _of(network, nn.Linear)
    assert last.in_features == 64 * 6 * 6


def test_the_head_has_a_hidden_layer_in_each_stream() -> None:
    options = NetworkOptions(dueling=True, noisy=True, head_hidden=7)
    network = QNetwork(ATARI, nature_cnn(None), options=options)
    sizes = {
        name: (layer.in_features, layer.out_features)
        for name, layer in network.named_modules()
        if isinstance(layer, NoisyLinear)
    }
    assert sizes == {
        "head.value.0": (3136, 7),
        "head.value.2": (7, 1),
        "head.advantage.0": (3136, 7),
        "head.advantage.2": (7, 18),
    }


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [(Impala, {"width": 0}), (Impala, {"pool": 0}), (NatureCNN, {"hidden": 0}),
     (MLP, {"head_hidden": 0})],
)  # fmt: skip
def test_a_size_below_1_names_itself(kind: type[Network], arguments: dict[str, int]) -> None:
    [name] = arguments
    with pytest.raises(ValueError, match=rf"^{name}=0: at least 1$"):
        kind(**arguments)


# --- which layers a description stands for


def test_mlp_takes_hidden_sizes_and_an_activation() -> None:
    expected = ["Flatten", {"Linear": 5}, "Tanh", {"Linear": 3}, "Tanh"]
    assert mlp([5, 3], activation="Tanh") == expected


@pytest.mark.parametrize(
    ("network", "layers"),
    [
        (MLP(hidden=[5, 3], activation="Tanh"), mlp([5, 3], "Tanh")),
        (MLP(), ["Flatten", {"Linear": 256}, "ReLU", {"Linear": 256}, "ReLU"]),
        (MLP(hidden=[]), ["Flatten"]),
        (MinAtarCNN(), minatar_cnn()),
        (NatureCNN(), nature_cnn()),
        (NatureCNN(hidden=None), nature_cnn()[:-2]),
        (NatureCNN(width=0.5), nature_cnn(width=0.5)),
        (Tabular(initial_value=2.0), [{"Table": {"initial_value": 2.0}}]),
        (Layers(layers=({"Linear": 3}, "ReLU")), [{"Linear": 3}, "ReLU"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_description_lists_its_layers(network: Network, layers: list[Any]) -> None:
    assert network.layer_list() == layers


def test_sizes_of_networks_of_layers_do_not_touch_a_table() -> None:
    assert Tabular(hidden=[64, 64]).layer_list() == Tabular().layer_list()


def test_the_list_that_is_given_out_is_the_callers_own() -> None:
    network = Layers(layers=["ReLU"])
    network.layer_list().append("Tanh")
    assert network.layer_list() == ["ReLU"]


@pytest.mark.parametrize("kind", [MLP, MinAtarCNN, NatureCNN, Tabular])
def test_every_description_takes_the_options_and_has_none_by_itself(kind: type[Network]) -> None:
    options = {"dueling": True, "noisy": True, "noisy_sigma": 0.1, "layer_norm": True}
    network = kind(**options)
    assert {name: getattr(network, name) for name in options} == options
    defaults = {"dueling": False, "noisy": False, "noisy_sigma": 0.5, "layer_norm": False}
    assert {name: getattr(kind(), name) for name in options} == defaults


def test_descriptions_of_the_same_values_are_the_same_and_stay_so() -> None:
    assert MLP(hidden=(5,), dueling=True) == MLP(hidden=(5,), dueling=True)
    assert MLP(hidden=(5,)) != MLP(hidden=(6,))
    with pytest.raises(dataclasses.FrozenInstanceError):
        MLP().dueling = True  # type: ignore[misc]


# --- how they are built


def test_linear_layers_are_plain_ones_unless_they_are_to_be_noisy() -> None:
    assert type(NetworkOptions().linear(4, 3)) is nn.Linear
    noisy = NetworkOptions(noisy=True, noisy_sigma=0.2).linear(4, 3)
    assert isinstance(noisy, NoisyLinear)
    assert noisy.initial_sigma == 0.2


def test_the_options_of_a_description_shape_the_network() -> None:
    spec = EnvironmentSpec((4,), "float32", num_actions=2)
    described = MLP(hidden=[8], dueling=True, layer_norm=True, noisy=True)
    network = QNetwork(spec, described.layer_list(), options=described)
    names = [type(layer).__name__ for layer in network.torso]
    assert names == ["Flatten", "NoisyLinear", "LayerNorm", "ReLU"]
    assert isinstance(network.head.value, NoisyLinear)
    assert isinstance(network.head.advantage, NoisyLinear)
    assert network(torch.zeros(3, 4)).shape == (3, 2)


def _of(network: nn.Module, kind: type) -> list[Any]:
    return [layer for layer in network.modules() if isinstance(layer, kind)]
