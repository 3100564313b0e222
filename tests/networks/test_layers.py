"""Layers: the noise's distribution, dueling, quantiles at fractions by hand."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from lightning_dqn.networks.layers import (
    DuelingHead,
    ImplicitQuantiles,
    NoisyLinear,
    ProposedQuantiles,
    draw_noise,
    linear_with_hidden,
    quantile_midpoints,
)

FACTOR = math.sqrt(2 / math.pi)
"""E[f(x)^2] = E|x| of Gaussian x, where f(x) = sign(x) sqrt|x|."""


# --- noisy layers


def noisy_linear(in_features: int = 3, out_features: int = 2, sigma: float = 0.5) -> NoisyLinear:
    """A noisy layer whose sigmas all differ."""
    torch.manual_seed(0)
    layer = NoisyLinear(in_features, out_features, sigma)
    with torch.no_grad():
        layer.weight_sigma.mul_(torch.rand(out_features, in_features) + 0.5)
        layer.bias_sigma.mul_(torch.rand(out_features) + 0.5)
    return layer


def test_noisy_outputs_have_the_mean_and_the_variance_of_the_formula() -> None:
    layer, features = of_each_sample(noisy_linear()), torch.tensor([1.0, -2.0, 0.5])
    with torch.no_grad():
        outputs = layer(features.expand(200_000, 3))
    mean = nn.functional.linear(features, layer.weight, layer.bias)
    # f(e_out) * (sum_i sigma_i x_i f(e_i) + sigma_b): E f = 0 and E f^2 = FACTOR
    weighted = layer.weight_sigma.square() @ features.square()
    variance = FACTOR * (FACTOR * weighted + layer.bias_sigma.square())
    torch.testing.assert_close(outputs.mean(dim=0), mean, atol=0.01, rtol=0)
    torch.testing.assert_close(outputs.var(dim=0), variance, atol=0, rtol=0.03)


def of_each_sample(layer: NoisyLinear) -> NoisyLinear:
    """Let each sample draw a noise of its own."""
    draw_noise(layer, torch.Generator().manual_seed(1))
    return layer


def test_the_noise_of_all_samples_has_the_mean_and_the_variance_of_the_formula() -> None:
    layer, features = noisy_linear(), torch.tensor([[1.0, -2.0, 0.5]])
    with torch.no_grad():
        outputs = torch.cat([layer(features) for _ in range(10_000)])
    mean = nn.functional.linear(features[0], layer.weight, layer.bias)
    weighted = layer.weight_sigma.square() @ features[0].square()
    variance = FACTOR * (FACTOR * weighted + layer.bias_sigma.square())
    torch.testing.assert_close(outputs.mean(dim=0), mean, atol=0.05, rtol=0)
    torch.testing.assert_close(outputs.var(dim=0), variance, atol=0, rtol=0.1)


def test_all_samples_of_a_pass_share_one_noise_unless_each_draws_its_own() -> None:
    layer, features = noisy_linear(), torch.ones(5, 3)
    assert len(layer(features)[:, 0].unique()) == 1
    assert len(of_each_sample(layer)(features)[:, 0].unique()) == 5
    assert len(draw_noise(layer)(features)[:, 0].unique()) == 1


def test_noise_from_a_generator_leaves_other_draws_alone() -> None:
    layer = of_each_sample(noisy_linear())
    before = torch.get_rng_state()
    layer(torch.ones(5, 3))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("own", [False, True])
def test_noise_factorises_into_that_of_inputs_and_outputs(own: bool) -> None:
    layer = of_each_sample(noisy_linear()) if own else noisy_linear()
    nn.init.ones_(layer.weight_sigma)
    nn.init.zeros_(layer.bias_sigma)
    # One unit vector at each position of a sample, whose positions share its noise, reads the
    # matrix of noise out.
    columns = torch.eye(3).expand(4, 3, 3)
    with torch.no_grad():
        noise = layer(columns) - nn.functional.linear(columns, layer.weight, layer.bias)
    assert torch.linalg.matrix_rank(noise, tol=1e-4).tolist() == [1, 1, 1, 1]


def test_each_sample_has_noise_of_its_own() -> None:
    outputs = of_each_sample(noisy_linear())(torch.ones(50, 3))
    assert len(outputs[:, 0].unique()) == 50
    layer = of_each_sample(noisy_linear(3, 1))
    assert abs(torch.corrcoef(layer(torch.ones(2000, 2, 3))[..., 0].T)[0, 1]) > 0.999
    one, other = layer(torch.ones(4000, 3)).view(2, 2000)
    assert abs(torch.corrcoef(torch.stack([one, other]))[0, 1]) < 0.1


def test_all_positions_of_a_sample_share_its_noise() -> None:
    outputs = of_each_sample(noisy_linear())(torch.ones(5, 4, 3))
    torch.testing.assert_close(outputs, outputs[:, :1].expand(5, 4, 2))
    assert len(outputs[:, 0, 0].unique()) == 5


def test_each_pass_draws_anew() -> None:
    layer, features = noisy_linear(), torch.ones(2, 3)
    assert not torch.equal(layer(features), layer(features))


def test_a_noisy_layer_in_evaluation_mode_is_the_mean() -> None:
    layer, features = noisy_linear().eval(), torch.randn(5, 3)
    expected = nn.functional.linear(features, layer.weight, layer.bias)
    assert torch.equal(layer(features), expected)


@pytest.mark.parametrize("own", [False, True])
def test_without_sigma_a_noisy_layer_is_a_linear_one_also_in_training(own: bool) -> None:
    torch.manual_seed(0)
    linear = nn.Linear(3, 2)
    torch.manual_seed(0)
    noisy, features = NoisyLinear(3, 2, sigma=0.0), torch.randn(5, 3)
    assert noisy.training
    noisy = of_each_sample(noisy) if own else noisy
    assert torch.equal(noisy(features), linear(features))


def test_sigma_begins_at_its_share_of_the_root_of_the_inputs() -> None:
    layer = NoisyLinear(16, 2, sigma=0.5)
    assert (layer.weight_sigma == 0.5 / 4).all()
    assert (layer.bias_sigma == 0.5 / 4).all()
    assert layer.weight.abs().max() <= 1 / 4
    nn.init.ones_(layer.weight_sigma)
    layer.reset_parameters()
    assert (layer.weight_sigma == 0.5 / 4).all()


def test_gradients_reach_mean_and_sigma() -> None:
    layer, features = noisy_linear(), torch.tensor([[1.0, -2.0, 0.5]])
    torch.manual_seed(1)
    layer(features).sum().backward()
    torch.manual_seed(1)
    of_input, of_output = (x.sign() * x.abs().sqrt() for x in (torch.randn(3), torch.randn(2)))
    gradients = [parameter.grad for parameter in layer.parameters()]
    names = [name for name, _ in layer.named_parameters()]
    by_name = dict(zip(names, gradients, strict=True))
    torch.testing.assert_close(by_name["weight"], features.expand(2, 3))
    torch.testing.assert_close(by_name["bias"], torch.ones(2))
    torch.testing.assert_close(
        by_name["weight_sigma"], of_output.outer(of_input) * features.expand(2, 3)
    )
    torch.testing.assert_close(by_name["bias_sigma"], of_output)


def test_a_negative_sigma_is_refused() -> None:
    with pytest.raises(ValueError, match=r"noisy_sigma=-0\.5: at least 0"):
        NoisyLinear(3, 2, sigma=-0.5)


def test_noise_can_be_drawn_in_a_network_in_evaluation_mode() -> None:
    network = nn.Sequential(NoisyLinear(3, 3), nn.Dropout(0.5)).eval()
    assert draw_noise(network) is network
    assert [layer.training for layer in network] == [True, False]
    assert not network.training


# --- dueling


@pytest.mark.parametrize("linear", [nn.Linear, partial(NoisyLinear, sigma=0.0)])
def test_a_dueling_head_takes_features_of_any_leading_shape(linear: partial[nn.Module]) -> None:
    head = DuelingHead(5, num_actions=3, outputs_per_action=2, linear=linear)
    features = torch.randn(4, 7, 5)
    output = head(features)
    assert output.shape == (4, 7, 6)
    for position in range(7):
        torch.testing.assert_close(output[:, position], head(features[:, position]))


def test_a_dueling_head_by_hand() -> None:
    head = DuelingHead(1, num_actions=2, outputs_per_action=2)
    for layer, biases in ((head.value, [10.0, 20.0]), (head.advantage, [1.0, 2.0, 3.0, 8.0])):
        nn.init.zeros_(layer.weight)
        with torch.no_grad():
            layer.bias.copy_(torch.tensor(biases))
    # first output: 10 + (1, 3) - 2; second: 20 + (2, 8) - 5; actions first, outputs last
    assert head(torch.zeros(1, 1)).tolist() == [[9.0, 17.0, 11.0, 23.0]]


# --- implicit quantiles


def implicit(num_samples: int = 4, num_midpoints: int = 3) -> ImplicitQuantiles:
    torch.manual_seed(0)
    return ImplicitQuantiles(
        2, nn.Linear(2, 3), num_samples=num_samples, num_midpoints=num_midpoints, num_cosines=3
    )


def test_two_layers_with_a_relu_between_them_by_hand() -> None:
    layers = linear_with_hidden(nn.Linear, 2, 1, 1)
    with torch.no_grad():
        layers[0].weight.copy_(torch.tensor([[1.0], [-1.0]]))
        layers[0].bias.zero_()
        layers[2].weight.copy_(torch.tensor([[2.0, 3.0]]))
        layers[2].bias.fill_(0.5)
    assert layers(torch.tensor([[1.0], [-1.0]])).tolist() == [[2.5], [3.5]]


def test_quantile_midpoints_are_the_middles_of_equal_parts() -> None:
    assert quantile_midpoints(4).tolist() == [0.125, 0.375, 0.625, 0.875]
    assert quantile_midpoints(1).tolist() == [0.5], "the median"


def test_quantiles_at_a_fraction_by_hand() -> None:
    layer = implicit()
    with torch.no_grad():
        layer.embedding.weight.copy_(torch.tensor([[1.0, 2.0, 3.0], [0.0, -1.0, 1.0]]))
        layer.embedding.bias.copy_(torch.tensor([0.5, 0.0]))
        layer.output.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
        layer.output.bias.copy_(torch.tensor([0.0, 0.0, 1.0]))
    found = layer.at(torch.tensor([[2.0, 3.0]]), torch.tensor([[0.0, 1 / 3, 1.0]]))
    # cos(pi i t), i = 0, 1, 2:  t = 0: 1, 1, 1;  1/3: 1, 1/2, -1/2;  1: 1, -1, 1
    # embedding, relu:           6.5, 0;           1 + 1 - 1.5 + 0.5 = 1, -1 -> 0;   2.5, 2
    # times the features 2, 3:   13, 0;            2, 0;                             5, 6
    expected = torch.tensor([[[13.0, 2.0, 5.0], [0.0, 0.0, 6.0], [14.0, 3.0, 12.0]]])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_fractions_are_fixed_in_evaluation_and_drawn_for_each_pass_in_training() -> None:
    layer, features = implicit(), torch.randn(5, 2)
    drawn = layer(features)
    assert drawn.values.shape == (5, 3, 4)
    assert drawn.fractions.shape == (5, 4)
    assert torch.equal(drawn.fractions, drawn.fractions[:1].expand(5, 4)), "one draw for all"
    assert not torch.equal(layer(features).fractions, drawn.fractions)
    torch.testing.assert_close(drawn.weights, torch.full((5, 4), 1 / 4))
    fixed = layer.eval()(features)
    torch.testing.assert_close(fixed.fractions, torch.tensor([1 / 6, 1 / 2, 5 / 6]).expand(5, 3))
    torch.testing.assert_close(fixed.weights, torch.full((5, 3), 1 / 3))
    assert fixed.values.shape == (5, 3, 3)
    assert torch.equal(layer(features).values, fixed.values)


def test_quantiles_belong_to_their_fractions() -> None:
    layer, features = implicit(), torch.randn(5, 2)
    for mode in (True, False):
        quantiles = layer.train(mode)(features)
        for place in range(quantiles.fractions.shape[1]):
            alone = layer.at(features, quantiles.fractions[:, place : place + 1])
            torch.testing.assert_close(quantiles.values[:, :, place], alone[:, :, 0])


def test_one_midpoint_is_the_median() -> None:
    layer, features = implicit(num_midpoints=1).eval(), torch.randn(5, 2)
    median = layer.at(features, torch.full((5, 1), 0.5))
    assert torch.equal(layer(features).values, median)


def test_drawn_fractions_are_uniform_one_in_each_of_equal_parts() -> None:
    layer, features = implicit(), torch.zeros(1, 2)
    with torch.no_grad():
        fractions = torch.cat([layer(features).fractions for _ in range(2000)])
    place = 4 * fractions - torch.arange(4)
    assert ((place >= 0) & (place <= 1)).all()
    # uniform within a part: mean 1/2 and variance 1/12, with a standard error of 0.0065
    torch.testing.assert_close(place.mean(dim=0), torch.full((4,), 0.5), atol=0.03, rtol=0)
    torch.testing.assert_close(place.var(dim=0), torch.full((4,), 1 / 12), atol=0.01, rtol=0)
    assert torch.corrcoef(place.T).triu(1).abs().max() < 0.1, "each part by itself"


@pytest.mark.parametrize("kind", ["implicit", "proposed"])
@pytest.mark.parametrize("training", [False, True])
def test_fractions_keep_their_precision_under_autocast(kind: str, training: bool) -> None:
    layer = (implicit(num_midpoints=51) if kind == "implicit" else proposed(51)).train(training)
    with torch.autocast("cpu", torch.bfloat16):
        features = nn.Linear(4, 2)(torch.randn(5, 4))
        assert features.dtype == torch.bfloat16
        quantiles = layer(features)
    for exact in (quantiles.fractions, quantiles.weights):
        assert exact.dtype == torch.float32
    torch.testing.assert_close(quantiles.weights.sum(dim=1), torch.ones(5))


# --- proposed quantiles


def proposed(num_quantiles: int = 4, scale: float = 1.0) -> ProposedQuantiles:
    torch.manual_seed(0)
    return ProposedQuantiles(
        2, nn.Linear(2, 3), num_quantiles=num_quantiles, num_cosines=3, proposal_scale=scale
    )


def test_proposed_fractions_lie_in_the_middle_between_their_edges() -> None:
    layer, features = proposed(), torch.randn(5, 2)
    quantiles = layer(features)
    edges = _edges(quantiles.edges)
    torch.testing.assert_close(quantiles.weights, edges.diff(dim=1))
    torch.testing.assert_close(quantiles.weights.sum(dim=1), torch.ones(5))
    torch.testing.assert_close(quantiles.fractions, (edges[:, 1:] + edges[:, :-1]) / 2)
    expected = torch.softmax(layer.proposal(features), dim=1)
    torch.testing.assert_close(quantiles.weights, expected)


def test_proposed_quantiles_belong_to_fractions_and_edges() -> None:
    layer, features = proposed(), torch.randn(5, 2)
    quantiles = layer(features)
    assert quantiles.edges is not None
    torch.testing.assert_close(quantiles.values, layer.at(features, quantiles.fractions))
    torch.testing.assert_close(quantiles.at_edges, layer.at(features, quantiles.edges))


def test_quantiles_at_edges_have_the_noise_of_those_between_them() -> None:
    layer, features = proposed(), torch.randn(5, 2)
    layer.output = NoisyLinear(2, 3, sigma=5.0)
    nn.init.zeros_(layer.embedding.weight)  # the quantile at any fraction is the same
    nn.init.ones_(layer.embedding.bias)
    quantiles = layer(features)
    assert quantiles.at_edges is not None
    torch.testing.assert_close(quantiles.at_edges, quantiles.values[:, :, 1:])
    assert not torch.equal(layer(features).values, quantiles.values)


def test_edges_are_left_out_in_evaluation() -> None:
    layer, features = proposed(), torch.randn(5, 2)
    quantiles = layer(features)
    evaluated = layer.eval()(features)
    assert torch.equal(evaluated.values, quantiles.values)
    assert (evaluated.edges, evaluated.at_edges) == (None, None)


def test_fractions_move_the_proposal_alone_and_values_all_else() -> None:
    layer, features = proposed(), torch.randn(5, 2, requires_grad=True)
    quantiles = layer(features)
    assert quantiles.edges is not None
    assert quantiles.at_edges is not None
    assert not quantiles.at_edges.requires_grad
    assert not quantiles.fractions.requires_grad
    assert not quantiles.weights.requires_grad
    parameters = {**dict(layer.named_parameters()), "features": features}
    for loss, moved in (
        (quantiles.edges[:, 1].sum(), {"proposal.weight", "proposal.bias"}),
        (
            quantiles.values.sum(),
            {"embedding.weight", "embedding.bias", "output.weight", "output.bias", "features"},
        ),
    ):
        gradients = torch.autograd.grad(
            loss, list(parameters.values()), allow_unused=True, retain_graph=True
        )
        reached = {n for n, g in zip(parameters, gradients, strict=True) if g is not None}
        assert reached == moved


@pytest.mark.parametrize("how", ["scale", "weights"])
def test_a_proposal_of_nothing_is_equal_parts(how: str) -> None:
    layer = proposed(scale=0.0 if how == "scale" else 1.0)
    if how == "weights":
        nn.init.zeros_(layer.proposal.weight)
        nn.init.zeros_(layer.proposal.bias)
    quantiles = layer(torch.randn(5, 2))
    torch.testing.assert_close(quantiles.fractions, quantile_midpoints(4).expand(5, 4))
    torch.testing.assert_close(quantiles.weights, torch.full((5, 4), 1 / 4))


def test_one_proposed_quantile_is_the_median_and_has_no_edge() -> None:
    quantiles = proposed(1)(torch.randn(5, 2))
    assert quantiles.fractions.tolist() == [[0.5]] * 5
    assert quantiles.edges is not None
    assert quantiles.edges.shape == (5, 0)


def _edges(inner: Tensor | None) -> Tensor:
    assert inner is not None
    return torch.cat([torch.zeros(len(inner), 1), inner, torch.ones(len(inner), 1)], dim=1)
