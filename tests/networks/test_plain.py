"""What a DQN is built from, and that plain values build it again."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from omegaconf import DictConfig, ListConfig, OmegaConf
from support.learning_heads import each_head
from torch import Tensor, nn

from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.networks.heads.head import Head
from lightning_dqn.networks.heads.quantile import QuantileHead
from lightning_dqn.networks.heads.scalar import ScalarHead
from lightning_dqn.networks.layers import DuelingHead
from lightning_dqn.networks.plain import (
    build_network,
    head_from_plain,
    head_of,
    head_to_plain,
    network_of,
    network_to_plain,
    spec_of,
    spec_to_plain,
)
from lightning_dqn.networks.q_network import QNetwork
from lightning_dqn.networks.table import Table
from lightning_dqn.networks.torsos import (
    MLP,
    Impala,
    Layers,
    MinAtarCNN,
    NatureCNN,
    Network,
    Tabular,
)

PAIR = EnvironmentSpec((2,), "float32", num_actions=2)
IMAGES = EnvironmentSpec((10, 10, 4), "bool", num_actions=3, has_action_mask=True)
FRAMES = EnvironmentSpec((36, 36), "uint8", num_actions=3, frame_stack=4)
STATES = EnvironmentSpec((), "int64", num_actions=3, num_states=5)
BOARD = EnvironmentSpec(
    (3, 3), "uint8", num_actions=9, frame_stack=2, zero_sum_turns=True, game="tictactoe"
)


# --- the environment's spec


@pytest.mark.parametrize("spec", [PAIR, IMAGES, STATES, BOARD], ids=lambda s: s.observation_dtype)
def test_a_spec_comes_back_from_plain_values(spec: EnvironmentSpec) -> None:
    found = spec_of(json.loads(json.dumps(spec_to_plain(spec))))
    assert found == spec
    assert hash(found) == hash(spec), "its shape is a tuple again"


def test_the_plain_values_of_a_spec_are_its_fields() -> None:
    assert spec_to_plain(STATES) == {
        "observation_shape": [],
        "observation_dtype": "int64",
        "num_actions": 3,
        "num_states": 5,
        "has_action_mask": False,
        "frame_stack": 1,
        "zero_sum_turns": False,
        "game": None,
        "action_start": 0,
        "has_life_losses": False,
    }


def test_a_spec_is_itself_and_an_environments_is_what_it_tells() -> None:
    assert spec_of(PAIR) is PAIR
    cartpole = EnvironmentSpec((4,), "float32", num_actions=2)
    assert spec_of("CartPole-v1") == cartpole
    stacked = spec_of(EnvironmentFactory("CartPole-v1", frame_stack=3))
    assert stacked == EnvironmentSpec((4,), "float32", num_actions=2, frame_stack=3)


# --- heads


def test_a_head_is_taken_as_it_is_as_plain_values_or_as_the_default() -> None:
    head = QuantileHead(3)
    assert head_of(head) is head
    assert head_of({"QuantileHead": {"num_quantiles": 3}}) == head
    assert head_of(None) == ScalarHead()


def test_the_name_of_a_head_is_not_enough() -> None:
    with pytest.raises(ValueError, match=r"pass a head itself, as head=CategoricalHead\(\.\.\.\)"):
        head_of("c51")  # type: ignore[arg-type]
    with pytest.raises(
        ValueError, match=r"head='OwnHead' is the name.*load_from_checkpoint\(path, head=OwnHead"
    ):
        head_of("OwnHead")  # type: ignore[arg-type]


@each_head
def test_a_head_comes_back_from_plain_values(head: Head) -> None:
    plain = head_to_plain(head)
    assert head_from_plain(json.loads(json.dumps(plain))) == head


def test_the_plain_values_of_a_head_are_its_name_and_settings() -> None:
    plain = head_to_plain(ScalarHead(error="huber", huber_threshold=3.0))
    assert plain == {"ScalarHead": {"error": "huber", "huber_threshold": 3.0}}


def test_a_head_of_the_users_own_is_named_only() -> None:
    class OwnHead(ScalarHead):
        pass

    assert head_to_plain(OwnHead()) == "OwnHead"
    OwnHead.__name__ = "ScalarHead"
    assert head_to_plain(OwnHead()) == "ScalarHead", "the same name is not the same class"


def test_an_unknown_head_is_refused_with_the_known_ones() -> None:
    names = (
        r"\['CategoricalHead', 'ImplicitQuantileHead', 'ProposedQuantileHead', 'QuantileHead', "
        r"'ScalarHead'\]"
    )
    with pytest.raises(ValueError, match=f"head='Nope': choose one of {names}"):
        head_from_plain({"Nope": {}})


# --- networks as plain values

NETWORKS: list[tuple[Network, EnvironmentSpec]] = [
    (MLP(hidden=[5, 4], activation="Tanh"), PAIR),
    (MLP(hidden=(3,), dueling=True, noisy=True, noisy_sigma=0.1, layer_norm=True), PAIR),
    (MinAtarCNN(dueling=True), IMAGES),
    (Tabular(initial_value=2.0), STATES),
    (Layers(layers=[{"Linear": {"out_features": 3, "bias": False}}, "ReLU"]), PAIR),
    (Layers(layers=[], noisy=True), PAIR),
    (Impala(spectral_norm=True, pool=2, num_blocks=1, dueling=True, head_hidden=3), FRAMES),
    (NatureCNN(hidden=None, head_hidden=4), FRAMES),
]


def built(network: Any, spec: EnvironmentSpec, head: Head) -> nn.Module:
    torch.manual_seed(0)
    return build_network(network, spec, head)


def states(network: nn.Module) -> dict[str, Tensor]:
    return dict(network.state_dict())


@pytest.mark.parametrize(("network", "spec"), NETWORKS, ids=lambda value: type(value).__name__)
def test_plain_values_build_the_same_network_again(network: Network, spec: EnvironmentSpec) -> None:
    again = network_of(json.loads(json.dumps(network_to_plain(network))))
    assert isinstance(again, Layers)
    first, second = (built(one, spec, ScalarHead()) for one in (network, again))
    assert str(first) == str(second)
    torch.testing.assert_close(states(second), states(first), rtol=0, atol=0)
    assert network_to_plain(again) == network_to_plain(network)


def test_the_plain_values_of_a_network_are_its_layers_and_options() -> None:
    assert network_to_plain(MLP(hidden=[5], dueling=True)) == {
        "layers": ["Flatten", {"Linear": 5}, "ReLU"],
        "dueling": True,
        "noisy": False,
        "noisy_sigma": 0.5,
        "layer_norm": False,
        "head_hidden": None,
    }


def test_layers_of_a_configuration_become_plain_values() -> None:
    layers = [{"Conv2d": {"out_channels": 4, "kernel_size": [3, 3]}}, "ReLU", {"Linear": [4, 3]}]
    plain = network_to_plain(Layers(layers=OmegaConf.create(layers)))  # type: ignore[arg-type]
    assert isinstance(plain, dict)
    assert plain["layers"] == layers
    assert not any(isinstance(value, DictConfig | ListConfig) for value in leaves(plain["layers"]))


def leaves(value: Any) -> list[Any]:
    """Return a value and all that is inside it."""
    if isinstance(value, dict | DictConfig):
        inside = list(value.values())
    elif isinstance(value, list | ListConfig):
        inside = list(value)
    else:
        inside = []
    return [value, *(leaf for part in inside for leaf in leaves(part))]


def test_a_module_of_the_users_own_is_named_only() -> None:
    assert network_to_plain(nn.Linear(2, 2)) == "Linear"


# --- ways to give a network


def test_a_network_is_taken_in_every_way_it_may_be_given() -> None:
    described, own = MLP(hidden=[3]), nn.Linear(2, 2)
    assert network_of(described) is described
    assert network_of(own) is own
    assert network_of(None) == MLP()
    assert network_of([{"Linear": 3}]) == Layers(layers=[{"Linear": 3}])
    assert network_of({"layers": ["ReLU"], "noisy": True}) == Layers(layers=["ReLU"], noisy=True)


def test_the_name_of_a_network_is_not_enough() -> None:
    with pytest.raises(
        ValueError, match=r"pass network=MLP\(\.\.\.\), a list of layers or a module"
    ):
        network_of("mlp")  # type: ignore[arg-type]
    with pytest.raises(
        ValueError, match=r"network='Own' is the name.*load_from_checkpoint\(path, network=Own\("
    ):
        network_of("Own")  # type: ignore[arg-type]


# --- building


def test_layers_become_a_q_network_and_a_table_a_table() -> None:
    network = built(MLP(hidden=[4], dueling=True), PAIR, QuantileHead(3))
    assert isinstance(network, QNetwork)
    assert network(torch.zeros(5, 2)).shape == (5, 2, 3), "the head makes the last layers"
    assert any(isinstance(layer, DuelingHead) for layer in network.modules())
    table = built(Tabular(initial_value=2.0), STATES, ScalarHead())
    assert isinstance(table, Table)
    assert table.weight.shape == (5, 3)
    assert (table.weight == 2.0).all()


def test_a_network_of_ones_own_is_taken_as_it_is() -> None:
    own = nn.Linear(2, 2)
    before = {name: tensor.clone() for name, tensor in own.state_dict().items()}
    assert build_network(own, PAIR, ScalarHead()) is own
    torch.testing.assert_close(states(own), before, rtol=0, atol=0)
    assert all(parameter.grad is None for parameter in own.parameters())


def test_a_network_of_ones_own_of_a_wrong_output_shape_is_refused_with_both_shapes() -> None:
    with pytest.raises(ValueError, match=r"network=Linear gives the shape \(2, 3\).*\(2, 2\)"):
        build_network(nn.Linear(2, 3), PAIR, ScalarHead())


def test_a_network_of_ones_own_that_takes_other_observations_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"network=Linear doesn't take .* \(2, 2\) and type torch\.float32"
    ):
        build_network(nn.Linear(5, 2), PAIR, ScalarHead())


def test_a_network_that_cannot_learn_is_refused() -> None:
    network = nn.Linear(2, 2).requires_grad_(False)
    with pytest.raises(ValueError, match="network=Linear has no parameter that could learn"):
        build_network(network, PAIR, ScalarHead())


class Doubling(nn.Linear):
    def forward(self, observation: Tensor) -> Tensor:
        rows = observation.view(-1, self.in_features)
        rows *= 2
        return super().forward(rows)


def test_a_network_that_writes_into_the_observations_is_refused() -> None:
    """The target network reads them before the online one, and a caller's are its own."""
    text = "Doubling changes the observations in place, which others read after it"
    with pytest.raises(ValueError, match=text):
        build_network(Doubling(2, 2), PAIR, ScalarHead())
    layers = [{"ReLU": {"inplace": True}}, {"Linear": 4}]
    with pytest.raises(ValueError, match="the first of its layers changes the observations"):
        build_network(Layers(layers=layers), PAIR, ScalarHead())
    with torch.inference_mode():  # where a policy is loaded that acts
        build_network(Layers(layers=[{"Linear": 4}]), PAIR, ScalarHead())
    harmless = [{"Linear": 4}, {"ReLU": {"inplace": True}}]
    build_network(Layers(layers=harmless), PAIR, ScalarHead())


def test_the_output_of_a_network_of_ones_own_is_read_by_the_head() -> None:
    own = nn.Sequential(nn.Linear(2, 6), nn.Unflatten(1, (2, 3)))
    assert build_network(own, PAIR, QuantileHead(3)) is own
    with pytest.raises(ValueError, match=r"Sequential: QuantileHead can't read .*\(B, A, 4\)"):
        build_network(own, PAIR, QuantileHead(4))


def test_a_look_at_a_network_of_ones_own_changes_nothing_in_it() -> None:
    own = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout(0.5), nn.Linear(2, 2))
    own[1].eval()
    before = {name: tensor.clone() for name, tensor in own.state_dict().items()}
    chance = torch.get_rng_state()
    build_network(own, PAIR, ScalarHead())
    assert all(torch.equal(own.state_dict()[name], tensor) for name, tensor in before.items())
    assert [layer.training for layer in own] == [True, False, True]
    assert torch.equal(torch.get_rng_state(), chance)
