"""Networks as lists of layers: sizes, messages, preprocessing, dueling."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.networks.heads.head import Head
from lightning_dqn.networks.heads.quantile import (
    ImplicitQuantileHead,
    ProposedQuantileHead,
    QuantileHead,
)
from lightning_dqn.networks.heads.scalar import ScalarHead
from lightning_dqn.networks.layers import ChannelsFirst, DuelingHead, NoisyLinear, Preprocess
from lightning_dqn.networks.q_network import NetworkOptions, QNetwork, build_layers
from lightning_dqn.networks.torsos import Impala, NatureCNN, minatar_cnn, mlp, nature_cnn

VECTOR = EnvironmentSpec((4,), "float32", num_actions=2)
DISCRETE = EnvironmentSpec((), "int64", num_actions=4, num_states=16)
MINATAR = EnvironmentSpec((10, 10, 6), "bool", num_actions=6)
ATARI = EnvironmentSpec((84, 84), "uint8", num_actions=18, frame_stack=4)
EXAMPLE = torch.zeros(1, 4)


# --- lists of layers: what is refused


def test_an_unknown_layer_is_named_with_its_position() -> None:
    with pytest.raises(ValueError, match=r"network\[1\] Relu.*torch.nn has no layer named 'Relu'"):
        build_layers([{"Linear": 3}, "Relu"], EXAMPLE)


@pytest.mark.parametrize("name", ["functional", "Parameter", "__name__"])
def test_a_name_in_torch_nn_that_is_no_layer_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"torch.nn has no layer named '{name}'"):
        build_layers([name], EXAMPLE)


@pytest.mark.parametrize("layer", [{}, {"Linear": 3, "ReLU": None}, 3, ["Linear", 3]])
def test_an_entry_that_is_no_layer_is_shown(layer: Any) -> None:
    with pytest.raises(ValueError, match=r"network\[0\]=.*a layer is a name like 'ReLU'"):
        build_layers([layer], EXAMPLE)


def test_a_wrong_input_size_names_the_layer_the_shape_and_where_it_comes_from() -> None:
    with pytest.raises(ValueError) as caught:
        build_layers([{"Linear": 7}, "ReLU", {"Linear": [5, 2]}], EXAMPLE)
    message = str(caught.value)
    assert "network[2] Linear(5, 2) doesn't fit" in message
    assert "network[1] ReLU gives it the shape [7]" in message


def test_a_first_layer_that_does_not_fit_blames_the_observation() -> None:
    with pytest.raises(ValueError, match=r"Linear\(5, 2\).*the observation gives it.* \[4\]"):
        build_layers([{"Linear": [5, 2]}], EXAMPLE)


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        ({"Linear": "many"}, "Linear(many)"),
        ({"Linear": {"units": 3}}, "Linear(units=3)"),
        ({"Conv2d": 16}, "Conv2d(16)"),
        (
            {"Conv2d": {"out_channels": 8, "kernel_size": 3}},
            "Conv2d(out_channels=8, kernel_size=3)",
        ),
        ({"Flatten": 5}, "Flatten(5)"),
        ({"LSTM": [4, 8]}, "LSTM(4, 8)"),
    ],
)
def test_arguments_that_do_not_fit_are_shown_as_a_call(layer: Any, text: str) -> None:
    with pytest.raises(ValueError) as caught:
        build_layers([layer, "ReLU"], EXAMPLE)
    assert f"network[0] {text} doesn't fit" in str(caught.value)
    assert "the shape [4]" in str(caught.value)


# --- lists of layers: what is built


@pytest.mark.parametrize(
    "layer",
    [
        {"Linear": 3},
        {"Linear": [4, 3]},
        {"Linear": {"out_features": 3}},
        {"Linear": {"in_features": 4, "out_features": 3}},
    ],
)
def test_four_ways_to_write_the_same_layer(layer: Any) -> None:
    [linear] = build_layers([layer], EXAMPLE)
    assert (linear.in_features, linear.out_features) == (4, 3)


def test_keyword_arguments_reach_the_layer() -> None:
    built = build_layers([{"Linear": {"out_features": 3, "bias": False}}, {"ELU": 0.5}], EXAMPLE)
    assert built[0].bias is None
    assert built[1].alpha == 0.5


def test_each_layer_is_sized_by_the_one_before_also_through_a_flatten() -> None:
    conv = {"Conv2d": {"out_channels": 5, "kernel_size": 3}}
    built = build_layers([conv, "Flatten", {"Linear": 2}, "LayerNorm"], torch.zeros(1, 3, 7, 7))
    assert built[0].in_channels == 3
    assert built[2].in_features == 5 * 5 * 5
    assert built[3].normalized_shape == (2,)


@pytest.mark.parametrize("arguments", [3, {"out_features": 3}])
def test_a_linear_layer_is_sized_by_the_last_axis(arguments: Any) -> None:
    [linear] = build_layers([{"Linear": arguments}], torch.zeros(1, 5, 4))
    assert linear.in_features == 4


def test_a_convolution_over_time_is_sized_by_its_channels() -> None:
    [conv] = build_layers([{"Conv1d": {"out_channels": 2, "kernel_size": 2}}], torch.zeros(1, 3, 9))
    assert conv.in_channels == 3


@pytest.mark.parametrize("layers", [mlp([3]), [{"Linear": 3}], []])
def test_an_observation_of_a_single_number_is_one_feature(layers: Any) -> None:
    network = QNetwork(EnvironmentSpec((), "float32", num_actions=2), layers)
    assert network(torch.zeros(5)).shape == (5, 2)


def test_layers_that_differ_in_training_are_left_in_training_mode() -> None:
    built = build_layers([{"Linear": 3}, {"BatchNorm1d": 3}, {"Dropout": 0.5}], EXAMPLE)
    assert all(layer.training for layer in built)
    assert built[1].num_batches_tracked == 0, "sizing must not count as a batch"


def test_a_network_whose_layers_differ_in_training_is_built_in_training_mode() -> None:
    network = QNetwork(VECTOR, [{"Linear": 3}, {"BatchNorm1d": 3}, {"Dropout": 0.5}])
    assert all(layer.training for layer in network.modules())
    assert network.torso[1].num_batches_tracked == 0, "sizing must not count as a batch"


def test_layers_from_a_configuration_build_the_same_network() -> None:
    layers = [
        {"Linear": 8},
        "ReLU",
        {"Linear": [8, 6]},
        {"Unflatten": {"dim": 1, "unflattened_size": [2, 3]}},
        {"Conv1d": {"out_channels": 4, "kernel_size": [2]}},
    ]
    torch.manual_seed(0)
    expected = QNetwork(VECTOR, layers)
    torch.manual_seed(0)
    built = QNetwork(VECTOR, OmegaConf.create(layers))  # type: ignore[arg-type]
    observation = torch.randn(3, 4)
    assert torch.equal(built(observation), expected(observation))


def test_an_empty_list_is_a_linear_q_network() -> None:
    network = QNetwork(VECTOR, [])
    assert isinstance(network.head, nn.Linear)
    assert network.head.in_features == 4


# --- preprocessing


def test_channels_first_moves_the_channels_of_one_frame() -> None:
    image = torch.rand(2, 5, 6, 3)
    assert torch.equal(ChannelsFirst()(image), image.permute(0, 3, 1, 2))


def test_channels_first_lays_the_channels_of_a_frame_stack_side_by_side() -> None:
    stack = torch.rand(2, 4, 5, 6, 3)
    image = ChannelsFirst()(stack)
    assert image.shape == (2, 12, 5, 6)
    assert torch.equal(image[:, 3 * 2 + 1], stack[:, 2, :, :, 1]), "frame 2, channel 1"


@pytest.mark.parametrize("torso", [NatureCNN(), Impala()])
@pytest.mark.parametrize(
    ("shape", "frame_stack", "channels"), [((84, 84), 1, 1), ((84, 84), 4, 4), ((3, 84, 84), 4, 12)]
)
def test_convolutions_take_gray_frames_and_stacks_of_coloured_ones(
    torso, shape, frame_stack, channels
):
    """One plane for each, a stack's frames one behind another."""
    spec = EnvironmentSpec(shape, "uint8", 2, frame_stack=frame_stack)
    network = QNetwork(spec, torso.layer_list())
    planes = network.preprocess(spec.example_observations(5))
    assert planes.shape == (5, channels, 84, 84)
    assert network(spec.example_observations(5)).shape == (5, 2)
    if channels == 12:
        stack = torch.zeros(1, 4, 3, 84, 84, dtype=torch.uint8)
        stack[0, 2, 1] = 255  # of the third frame the second colour
        assert network.preprocess(stack)[0].amax((1, 2)).tolist() == [0] * 7 + [1] + [0] * 4


def test_stacks_with_their_channels_last_are_refused():
    spec = EnvironmentSpec((84, 84, 3), "uint8", 2, frame_stack=4)
    with pytest.raises(ValueError, match=r"images \[84, 84, 3\], channels last"):
        QNetwork(spec, NatureCNN().layer_list())


def test_bytes_become_fractions_of_255() -> None:
    frame = torch.tensor([[0, 51, 255]], dtype=torch.uint8)
    ready = Preprocess(None, is_uint8=True)(frame)
    torch.testing.assert_close(ready, torch.tensor([[0.0, 0.2, 1.0]]))


def test_bools_become_0_and_1() -> None:
    ready = Preprocess(None, is_uint8=False)(torch.tensor([[True, False]]))
    assert ready.dtype == torch.float32
    assert ready.tolist() == [[1.0, 0.0]]


def test_floats_stay_as_they_are() -> None:
    observation = torch.tensor([[300.0, -2.0]])
    assert Preprocess(None, is_uint8=False)(observation) is observation


def test_a_discrete_state_becomes_one_hot() -> None:
    ready = Preprocess(3, is_uint8=False)(torch.tensor([2, 0]))
    assert ready.tolist() == [[0, 0, 1], [1, 0, 0]]
    assert ready.dtype == torch.float32


def test_a_stack_of_discrete_states_becomes_one_hots_side_by_side() -> None:
    ready = Preprocess(3, is_uint8=False)(torch.tensor([[2, 0]]))
    assert ready.tolist() == [[0, 0, 1, 1, 0, 0]]


def test_the_network_reads_bytes_as_fractions() -> None:
    spec = EnvironmentSpec((3,), "uint8", num_actions=2)
    network = QNetwork(spec, [])
    white = torch.full((1, 3), 255, dtype=torch.uint8)
    torch.testing.assert_close(network(white), network.head(torch.ones(1, 3)))


# --- whole networks


@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize(
    ("spec", "layers"),
    [
        (VECTOR, mlp()),
        (DISCRETE, mlp([16])),
        (MINATAR, minatar_cnn()),
        (MINATAR, ["Flatten", *mlp([16])]),
        (ATARI, nature_cnn()),
        (EnvironmentSpec((10, 10, 4), "bool", 6, frame_stack=3), minatar_cnn()),
        (EnvironmentSpec((4,), "float32", 2, frame_stack=3), mlp([16])),
        (EnvironmentSpec((), "int64", 4, num_states=16, frame_stack=2), mlp([16])),
    ],
)
def test_every_torso_gives_one_value_for_each_action(
    spec: EnvironmentSpec, layers: list[Any], dueling: bool
) -> None:
    network = QNetwork(spec, layers, options=NetworkOptions(dueling=dueling))
    output = network(spec.example_observations(3))
    assert output.shape == (3, spec.num_actions)
    assert output.dtype == torch.float32


@pytest.mark.parametrize("dueling", [False, True])
def test_a_distributional_head_gets_its_atoms_last(dueling: bool) -> None:
    network = QNetwork(
        VECTOR, mlp([8]), head=QuantileHead(5), options=NetworkOptions(dueling=dueling)
    )
    assert network(torch.zeros(3, 4)).shape == (3, 2, 5)


@pytest.mark.parametrize("dueling", [False, True])
def test_one_quantile_has_an_axis_of_its_own_and_a_scalar_has_none(dueling: bool) -> None:
    options = NetworkOptions(dueling=dueling)
    observation = torch.zeros(3, 4)
    assert QNetwork(VECTOR, [], head=QuantileHead(1), options=options)(observation).shape == (
        3,
        2,
        1,
    )
    assert QNetwork(VECTOR, [], head=ScalarHead(), options=options)(observation).shape == (3, 2)


@pytest.mark.parametrize(
    "head", [ImplicitQuantileHead(5, num_evaluation_quantiles=7), ProposedQuantileHead(5)]
)
@pytest.mark.parametrize("options", [NetworkOptions(), NetworkOptions(dueling=True, noisy=True)])
def test_heads_of_quantiles_at_fractions_give_quantiles(head: Head, options: Any) -> None:
    network = QNetwork(MINATAR, minatar_cnn(), head=head, options=options)
    observation = MINATAR.example_observations(3)
    assert network(observation).values.shape == (3, 6, 5)
    network.eval()
    expected = 7 if isinstance(head, ImplicitQuantileHead) else 5
    assert network(observation).values.shape == (3, 6, expected)


# --- noisy layers and normalisation


@pytest.mark.parametrize(
    "layer", [{"Linear": 3}, {"Linear": [4, 3]}, {"Linear": {"out_features": 3}}]
)
def test_every_linear_layer_of_a_noisy_network_is_noisy(layer: Any) -> None:
    options = NetworkOptions(noisy=True, noisy_sigma=0.1)
    network = QNetwork(VECTOR, [layer, "ReLU"], options=options)
    assert isinstance(network.torso[0], NoisyLinear)
    assert isinstance(network.head, NoisyLinear)
    assert [n.initial_sigma for n in _of(network, nn.Linear)] == [0.1, 0.1]


def test_value_and_advantage_of_a_noisy_dueling_network_are_noisy() -> None:
    network = QNetwork(VECTOR, [], options=NetworkOptions(dueling=True, noisy=True))
    assert isinstance(network.head.value, NoisyLinear)
    assert isinstance(network.head.advantage, NoisyLinear)


def test_a_network_that_is_not_noisy_has_no_noise() -> None:
    assert _of(QNetwork(VECTOR, mlp()), NoisyLinear) == []


def test_a_negative_sigma_names_itself() -> None:
    with pytest.raises(ValueError, match=r"noisy_sigma=-1\.0: at least 0"):
        QNetwork(VECTOR, [{"Linear": 3}], options=NetworkOptions(noisy=True, noisy_sigma=-1.0))


def test_a_normalisation_follows_each_linear_layer_and_convolution_of_the_torso() -> None:
    options = NetworkOptions(layer_norm=True)
    network = QNetwork(MINATAR, minatar_cnn(), options=options)
    names = [type(layer).__name__ for layer in network.torso]
    assert names == [
        "ChannelsFirst",
        "Conv2d",
        "LayerNorm",
        "ReLU",
        "Flatten",
        "Linear",
        "LayerNorm",
        "ReLU",
    ]
    assert [n.normalized_shape for n in _of(network, nn.LayerNorm)] == [(16, 8, 8), (128,)]
    assert isinstance(network.head, nn.Linear)


def test_the_normalised_output_of_a_layer_has_mean_0_and_variance_1() -> None:
    network = QNetwork(VECTOR, [{"Linear": 64}], options=NetworkOptions(layer_norm=True))
    features = network.torso(100 * torch.randn(5, 4))
    torch.testing.assert_close(features.mean(dim=1), torch.zeros(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(features.std(dim=1, correction=0), torch.ones(5), rtol=1e-3, atol=0)


def test_a_normalisation_on_the_list_is_not_doubled_and_positions_are_those_of_the_list() -> None:
    options = NetworkOptions(layer_norm=True)
    built = build_layers(["LayerNorm", "ReLU"], EXAMPLE, options)
    assert len(built) == 2
    with pytest.raises(ValueError, match=r"network\[1\] Linear\(5, 2\)"):
        build_layers([{"Linear": 7}, {"Linear": [5, 2]}], EXAMPLE, options)


@pytest.mark.parametrize("noisy", [False, True])
def test_sizing_a_network_draws_the_same_weights_as_its_layers_alone(noisy: bool) -> None:
    torch.manual_seed(0)
    network = QNetwork(VECTOR, [{"Linear": 3}], options=NetworkOptions(noisy=noisy))
    torch.manual_seed(0)
    torso, head = nn.Linear(4, 3), nn.Linear(3, 2)
    assert torch.equal(network.torso[0].weight, torso.weight)
    assert torch.equal(network.head.weight, head.weight)


# --- dueling


def test_the_mean_over_actions_of_a_dueling_head_is_the_states_value() -> None:
    head, features = DuelingHead(5, num_actions=3, outputs_per_action=1), torch.randn(4, 5)
    q_values = head(features)
    torch.testing.assert_close(q_values.mean(dim=1, keepdim=True), head.value(features))


def test_differences_between_actions_of_a_dueling_head_are_those_of_the_advantages() -> None:
    head, features = DuelingHead(5, num_actions=3, outputs_per_action=1), torch.randn(4, 5)
    q_values, advantage = head(features), head.advantage(features)
    torch.testing.assert_close(q_values.diff(dim=1), advantage.diff(dim=1))


def test_each_atom_of_a_dueling_head_has_its_own_mean_over_actions() -> None:
    head, features = DuelingHead(5, num_actions=3, outputs_per_action=2), torch.randn(4, 5)
    output = head(features).unflatten(1, (3, 2))
    torch.testing.assert_close(output.mean(dim=1), head.value(features))


def _of(network: nn.Module, kind: type) -> list[Any]:
    return [layer for layer in network.modules() if isinstance(layer, kind)]
