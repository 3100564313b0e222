"""Norms, distances and silence of networks with weights set by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from lightning_dqn import DQN, EnvironmentSpec
from lightning_dqn.diagnostics.network import (
    dormant_share,
    layer_gradients,
    layer_norms,
    layer_weights,
    network_diagnostics,
    relative_distance,
)
from lightning_dqn.networks.operations import align
from lightning_dqn.networks.torsos import Tabular
from lightning_dqn.networks.units import find_units

SPEC = EnvironmentSpec((3,), "float32", num_actions=2)


def module_of(*layers: Any, **arguments: Any) -> DQN:
    torch.manual_seed(0)
    return DQN(SPEC, network=list(layers), compile=False, **arguments)


def set_to(layer: nn.Module, value: float) -> None:
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.fill_(value)


def test_a_layers_norm_is_that_of_all_its_parameters_together() -> None:
    network = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1))
    set_to(network[0], 2.0)  # 6 weights and 2 biases
    set_to(network[2], -1.0)  # 2 weights and a bias
    norms = layer_norms(layer_weights(network))
    assert {name: norm.item() for name, norm in norms.items()} == pytest.approx(
        {"0": 2 * 8**0.5, "2": 3**0.5}
    )


def test_gradients_are_those_in_place_and_layers_without_are_left_out() -> None:
    network = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    network[0].requires_grad_(False)
    network[1].weight.grad = torch.tensor([[3.0, 0.0]])
    network[1].bias.grad = torch.tensor([4.0])
    norms = layer_norms(layer_gradients(network))
    assert {name: norm.item() for name, norm in norms.items()} == {"1": 5.0}


def test_a_network_that_is_a_single_layer_goes_by_its_kind() -> None:
    assert layer_weights(nn.Linear(3, 2)).keys() == {"Linear"}
    table = DQN(EnvironmentSpec((), "int64", 2, num_states=4), network=Tabular(), compile=False)
    found = network_diagnostics(table, torch.zeros(1, dtype=torch.int64), [])
    assert found.keys() == {"network/weight_norm/Table", "network/target_distance"}


def test_the_distance_is_relative_to_the_online_weights() -> None:
    online, target = nn.Linear(3, 1), nn.Linear(3, 1)  # 4 parameters
    set_to(online, 2.0), set_to(target, 1.5)
    assert relative_distance(align(online, target)).item() == pytest.approx(0.25)
    assert relative_distance(align(online, online)).item() == 0.0


def test_a_dead_unit_is_dormant() -> None:
    module = module_of({"Linear": 4}, "ReLU")
    observation = torch.rand(16, 3)
    layer = next(m for m in module.q_network.modules() if isinstance(m, nn.Linear))
    set_to(layer, 1.0)
    units, _ = find_units(module.q_network, observation)
    assert dormant_share(module.q_network, units, observation).item() == 0.0
    with torch.no_grad():
        layer.bias[1] = -100.0  # never above 0
    assert dormant_share(module.q_network, units, observation).item() == 0.25
    found = network_diagnostics(module, observation, units)
    assert found["network/dormant_units"].item() == 0.25


def test_without_a_target_network_or_known_units_these_are_left_out() -> None:
    target = {"slow_copy": False, "double": False}
    found = network_diagnostics(module_of({"Linear": 4}, target=target), torch.rand(2, 3), [])
    assert all(name.startswith("network/weight_norm/") for name in found)


def test_of_many_layers_percentiles_are_told() -> None:
    module = module_of(*[{"Linear": 2}] * 24)  # and the head
    found = network_diagnostics(module, torch.rand(2, 3), [])
    names = {f"network/weight_norm_p{share}" for share in (5, 25, 50, 75, 95)}
    assert found.keys() == names | {"network/target_distance"}
    norms = layer_norms(layer_weights(module.q_network)).values()
    middle = sorted(norm.item() for norm in norms)[12]
    assert found["network/weight_norm_p50"].item() == pytest.approx(middle)
