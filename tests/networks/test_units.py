"""The units of a torso: what feeds each, who reads it, and which layers are left out and why."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.networks.heads.quantile import (
    ImplicitQuantileHead,
    ProposedQuantileHead,
    QuantileHead,
)
from lightning_dqn.networks.q_network import QNetwork
from lightning_dqn.networks.torsos import NetworkOptions
from lightning_dqn.networks.units import dormant_scores, find_units, torso_outputs

IMAGES = EnvironmentSpec((2, 8, 8), "float32", num_actions=3)
VECTORS = EnvironmentSpec((5,), "float32", num_actions=3)
CONV = {"Conv2d": {"out_channels": 4, "kernel_size": 3}}
MLP: list[Any] = [{"Linear": 8}, "ReLU", {"Linear": 6}, "ReLU"]
DUELING = NetworkOptions(dueling=True)

# Each unit's layer, number, incoming layers, place of the activation, readers.
OF_MLP = ("torso.0", 8, ["torso.0"], 1, ["torso.2"])
CASES: dict[str, tuple[EnvironmentSpec, list[Any], dict[str, Any], list[tuple[Any, ...]]]] = {
    "mlp": (VECTORS, MLP, {}, [OF_MLP, ("torso.2", 6, ["torso.2"], 3, ["head"])]),
    "dropout and identity": (
        VECTORS,
        [{"Linear": 8}, "Tanh", {"Dropout": 0.5}, {"Linear": 6}, "Tanh", "Identity"],
        {},
        [
            ("torso.0", 8, ["torso.0"], 1, ["torso.3"]),
            ("torso.3", 6, ["torso.3"], 4, ["head"]),
        ],
    ),
    "dueling": (
        VECTORS,
        MLP,
        {"options": DUELING},
        [OF_MLP, ("torso.2", 6, ["torso.2"], 3, ["head.advantage", "head.value"])],
    ),
    "noisy": (
        VECTORS,
        MLP,
        {"options": NetworkOptions(noisy=True)},
        [OF_MLP, ("torso.2", 6, ["torso.2"], 3, ["head"])],
    ),
    "normalised": (
        VECTORS,
        [{"Linear": 8}, {"LayerNorm": 8}, "ReLU", {"Linear": 6}, {"BatchNorm1d": 6}, "ReLU"],
        {},
        [
            ("torso.0", 8, ["torso.0", "torso.1"], 2, ["torso.3"]),
            ("torso.3", 6, ["torso.3", "torso.4"], 5, ["head"]),
        ],
    ),
    "conv, flatten, linear": (
        IMAGES,
        [CONV, "ReLU", "Flatten", {"Linear": 6}, "ReLU"],
        {},
        [
            ("torso.0", 4, ["torso.0"], 1, ["torso.3"]),
            ("torso.3", 6, ["torso.3"], 4, ["head"]),
        ],
    ),
    "conv, pool, conv, head": (
        IMAGES,
        [CONV, "ReLU", {"MaxPool2d": 2}, CONV, "ReLU"],
        {"options": DUELING},
        [
            ("torso.0", 4, ["torso.0"], 1, ["torso.3"]),
            ("torso.3", 4, ["torso.3"], 4, ["head.advantage", "head.value"]),
        ],
    ),
    "quantiles": (
        VECTORS,
        MLP,
        {"head": QuantileHead(num_quantiles=5)},
        [OF_MLP, ("torso.2", 6, ["torso.2"], 3, ["head.0"])],
    ),
    "implicit quantiles": (
        VECTORS,
        MLP,
        # As many cosines as features: their embedding must not be taken for a reader.
        {"head": ImplicitQuantileHead(num_cosines=6)},
        [OF_MLP, ("torso.2", 6, ["torso.2"], 3, ["head.output"])],
    ),
    "proposed quantiles": (
        VECTORS,
        MLP,
        {"head": ProposedQuantileHead(num_quantiles=6, num_cosines=6), "options": DUELING},
        [
            OF_MLP,
            (
                "torso.2",
                6,
                ["torso.2"],
                3,
                ["head.output.advantage", "head.output.value", "head.proposal"],
            ),
        ],
    ),
}


def network_of(spec: EnvironmentSpec, layers: list[Any], **arguments: Any) -> QNetwork:
    torch.manual_seed(0)
    return QNetwork(spec, layers, **arguments)


def names_in(network: nn.Module, layers: list[nn.Module]) -> list[str]:
    return sorted(name for name, m in network.named_modules() if any(m is one for one in layers))


# --- what is found


@pytest.mark.parametrize("case", CASES)
def test_every_layers_units_have_their_feeders_activation_and_readers(case: str) -> None:
    spec, layers, arguments, expected = CASES[case]
    network = network_of(spec, layers, **arguments)
    found, left_out = find_units(network, spec.example_observations(1))
    assert left_out == []
    described = [
        (
            units.name,
            units.number,
            names_in(network, units.incoming),
            units.activation,
            names_in(network, units.readers),
        )
        for units in found
    ]
    assert described == expected


def test_looking_for_units_changes_neither_weights_nor_modes() -> None:
    network = network_of(VECTORS, [{"Linear": 8}, {"BatchNorm1d": 8}, "ReLU"], options=DUELING)
    network.torso[1].eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    state = torch.get_rng_state()
    find_units(network, torch.ones(4, 5))
    assert [module.training for module in network.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
    torch.testing.assert_close(dict(network.state_dict()), before, rtol=0, atol=0)


def test_a_network_of_the_users_own_is_refused() -> None:
    with pytest.raises(ValueError, match="network=Linear: only a network built from a list"):
        find_units(nn.Linear(5, 3), torch.zeros(1, 5))


# --- what is left out


@pytest.mark.parametrize(
    ("spec", "layers", "reasons"),
    [
        (
            VECTORS,
            [{"Linear": 8}],
            ["torso.0 (Linear): expected an activation after it, found the head"],
        ),
        (
            VECTORS,
            [{"Linear": 8}, "Softmax"],
            ["torso.0 (Linear): expected an activation after it, found Softmax"],
        ),
        (
            VECTORS,
            [{"Linear": 8}, "PReLU"],
            [
                "torso.0 (Linear): expected an activation after it, found PReLU",
                "torso.1 (PReLU): a layer whose units aren't known",
            ],
        ),
        (
            VECTORS,
            [{"Linear": 8}, "ReLU", {"MaxPool1d": 2}],
            ["torso.0 (Linear): expected a layer that reads it, found MaxPool1d"],
        ),
        (
            IMAGES,
            [{"Linear": 8}, "ReLU"],
            ["torso.0 (Linear): its output has 4 axes, expected 2"],
        ),
        (
            IMAGES,
            [CONV, "ReLU", {"Flatten": [2]}],
            [
                "torso.0 (Conv2d): expected Flatten of all axes, found "
                "Flatten(start_dim=2, end_dim=-1)"
            ],
        ),
        (
            IMAGES,
            [CONV, {"LayerNorm": 6}, "ReLU"],
            [f"torso.0 (Conv2d): expected LayerNorm over all axes, found {nn.LayerNorm(6)}"],
        ),
        (
            IMAGES,
            [CONV, "ReLU", {"Linear": 4}, "ReLU", "Flatten"],
            [
                "torso.0 (Conv2d): a linear layer reads it without Flatten",
                "torso.2 (Linear): its output has 4 axes, expected 2",
            ],
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:Implicit dimension choice for softmax")
def test_without_a_layer_that_fits_the_reasons_are_given(
    spec: EnvironmentSpec, layers: list[Any], reasons: list[str]
) -> None:
    found, left_out = find_units(network_of(spec, layers), spec.example_observations(1))
    assert found == []
    assert left_out == reasons


def test_layers_that_do_not_fit_do_not_hold_up_those_that_do() -> None:
    grouped = {"Conv2d": [4, 4, 3, 1, 0, 1, 2]}
    network = network_of(IMAGES, [CONV, "ReLU", grouped, "ReLU"])
    found, left_out = find_units(network, IMAGES.example_observations(1))
    assert [units.name for units in found] == ["torso.2"]
    assert left_out == ["torso.0 (Conv2d): a convolution in groups reads it"]


class AlsoTheSum(nn.Linear):
    """Reads features by its weights, and by their sum."""

    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features) + features.sum(dim=1, keepdim=True)


class NoReader(nn.Module):
    """Reads features without any weights."""

    def forward(self, features: Tensor) -> Tensor:
        return features[:, :3]


@pytest.mark.parametrize("head", [AlsoTheSum(6, 3), NoReader()], ids=lambda h: type(h).__name__)
def test_a_head_that_reads_features_otherwise_leaves_their_layer_out(head: nn.Module) -> None:
    network = network_of(VECTORS, MLP)
    network.head = head
    found, left_out = find_units(network, VECTORS.example_observations(1))
    assert [units.name for units in found] == ["torso.0"]
    assert left_out == ["torso.2 (Linear): the head reads it in a way that isn't known"]


# --- the outputs of the torso


def test_outputs_are_those_of_one_layer_after_the_other_without_dropout() -> None:
    network = network_of(VECTORS, [{"Linear": 8}, {"Dropout": 0.9}, "ReLU"])
    observation = torch.randn(4, 5)
    linear, dropped, activation = torso_outputs(network, observation)
    expected = observation @ network.torso[0].weight.T + network.torso[0].bias
    torch.testing.assert_close(linear, expected)
    assert torch.equal(dropped, linear)
    assert torch.equal(activation, linear.clamp_min(0))
    assert not activation.requires_grad
    assert all(module.training for module in network.modules())


def test_observations_are_prepared_as_for_the_network() -> None:
    spec = EnvironmentSpec((), "int64", num_actions=2, num_states=4)
    network = network_of(spec, [{"Linear": 3}])
    [output] = torso_outputs(network, torch.tensor([2, 0]))
    linear = network.torso[0]
    torch.testing.assert_close(output, linear.weight.T[[2, 0]] + linear.bias)


def test_the_mode_of_each_layer_comes_back_also_after_an_error() -> None:
    network = network_of(VECTORS, MLP)
    network.torso[1].eval()
    modes = [module.training for module in network.modules()]
    with pytest.raises(RuntimeError):
        torso_outputs(network, torch.zeros(2, 7))
    assert [module.training for module in network.modules()] == modes


# --- the score


def test_the_score_is_the_papers_equation() -> None:
    activation = torch.tensor([[1.0, -2.0, 0.0], [3.0, -2.0, 0.0]])
    # Means of the sizes: 2, 2, 0; their mean 4/3.
    assert dormant_scores(activation).tolist() == pytest.approx([1.5, 1.5, 0.0])


def test_a_channel_is_scored_over_all_places() -> None:
    activation = torch.zeros(2, 2, 3, 3)
    activation[0, 0, 1, 2], activation[:, 1] = 18.0, 3.0
    assert dormant_scores(activation).tolist() == pytest.approx([0.5, 1.5])


def test_a_silent_layer_is_dormant_as_a_whole() -> None:
    assert dormant_scores(torch.zeros(4, 3)).tolist() == [0, 0, 0]
