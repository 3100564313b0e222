"""Residual stages by their equations, and weights divided by their spectral norm."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from lightning_dqn import DQN
from lightning_dqn.callbacks import EMATargetNetwork, ShrinkAndPerturb
from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.networks import operations
from lightning_dqn.networks.operations import align
from lightning_dqn.networks.residual import (
    GridMaxPool2d,
    ResidualBlock,
    ResidualStage,
    SpectralConv2d,
)
from lightning_dqn.networks.torsos import Impala


def test_a_block_adds_two_convolutions_of_rectified_images_by_hand() -> None:
    block = ResidualBlock(1)
    with torch.no_grad():
        for conv, centre, bias in ((block.first, 2.0, -1.0), (block.second, 3.0, 0.5)):
            conv.weight.zero_()
            conv.weight[0, 0, 1, 1] = centre
            conv.bias.fill_(bias)
    # x + 3 relu(2 relu(x) - 1) + 0.5
    image = torch.tensor([[[[-2.0, 0.25], [1.0, 2.0]]]])
    assert block(image).tolist() == [[[[-1.5, 0.75], [4.5, 11.5]]]]


def test_a_stage_halves_the_image_and_has_its_blocks_after_the_pooling() -> None:
    stage = ResidualStage(4, 8, num_blocks=3)
    assert [type(layer) for layer in stage] == [nn.Conv2d, nn.MaxPool2d, *[ResidualBlock] * 3]
    assert [stage(torch.zeros(2, 4, size, size)).shape[-1] for size in (84, 42, 21)] == [42, 21, 11]


def test_a_spectral_convolution_has_weights_of_norm_1_and_is_torchs_own_in_both_modes() -> None:
    conv = SpectralConv2d(3, 5, 3, padding=1)
    with torch.no_grad():
        conv.weight *= 7
    plain = nn.Conv2d(3, 5, 3, padding=1)
    plain.load_state_dict({"weight": conv.weight, "bias": conv.bias})
    twin = spectral_norm(plain)
    twin.parametrizations.weight[0]._u.copy_(conv.left)
    twin.parametrizations.weight[0]._v.copy_(conv.right)
    image = torch.randn(2, 3, 6, 6)
    for training in (True, True, False):
        expected = twin.train(training)(image)
        torch.testing.assert_close(conv.train(training)(image), expected)
    for _ in range(200):
        conv.train()(image)
    impulse = torch.zeros(3, 3, 3, 3)
    impulse[range(3), range(3), 1, 1] = 1
    kernels = (conv(impulse) - conv.bias.view(1, -1, 1, 1)).transpose(0, 1).flatten(1)
    assert torch.linalg.matrix_norm(kernels, 2).item() == pytest.approx(1, abs=1e-3)


def test_gradients_go_through_the_norm() -> None:
    conv = SpectralConv2d(2, 2, 1).double().eval()
    image = torch.randn(1, 2, 2, 2, dtype=torch.double)

    def output(weight: torch.Tensor) -> torch.Tensor:
        sigma = conv.left @ weight.flatten(1) @ conv.right
        return nn.functional.conv2d(image, weight / sigma, conv.bias)

    (expected,) = torch.autograd.grad(output(conv.weight).square().sum(), conv.weight)
    (found,) = torch.autograd.grad(conv(image).square().sum(), conv.weight)
    torch.testing.assert_close(found, expected)
    assert (found * conv.weight).sum().abs() < 1e-9  # its length doesn't matter


def test_two_passes_before_the_gradients_are_taken_do_not_disturb_each_other() -> None:
    conv = SpectralConv2d(2, 2, 3)
    first, second = (conv(torch.randn(1, 2, 4, 4)) for _ in range(2))
    (first.sum() + second.sum()).backward()
    assert conv.weight.grad is not None


def test_evaluation_moves_no_direction_and_training_does() -> None:
    conv = SpectralConv2d(4, 6, 3)
    before = conv.left.clone()
    conv.eval()(torch.zeros(1, 4, 5, 5))
    assert torch.equal(conv.left, before)
    torch.nn.init.normal_(conv.weight)  # else the direction is settled, and may not move by a bit
    conv.train()(torch.zeros(1, 4, 5, 5))
    assert not torch.equal(conv.left, before)


def test_a_spectral_block_can_be_drawn_anew_and_averaged() -> None:
    block = ResidualBlock(3, spectral_norm=True)
    layers = operations.layers_with_weights(block)
    assert list(layers) == ["first", "second"]
    for fresh in operations.redrawn(list(layers.values()), seed=1):
        sigma = fresh.left @ (fresh.weight.flatten(1) @ fresh.right)
        exact = torch.linalg.matrix_norm(fresh.weight.flatten(1), 2)
        assert sigma.item() == pytest.approx(exact.item(), rel=0.01)
    copy = deepcopy(block)
    block(torch.randn(1, 3, 4, 4))
    operations.copy(copy, block)
    assert torch.equal(copy.first.left, block.first.left)


def norms(network: nn.Module) -> list[float]:
    """Return the spectral norms of the weights as they are used, 1 where u and v are theirs."""
    found = []
    for conv in network.modules():
        if isinstance(conv, SpectralConv2d):
            matrix = conv.weight.detach().flatten(1)
            used = matrix / (conv.left @ matrix @ conv.right)
            found.append(torch.linalg.matrix_norm(used, 2).item())
    return found


@pytest.mark.parametrize(
    "mix",
    [
        lambda model, other: operations.lerp(model, other, weight=0.4),
        lambda model, other: operations.lerp(align(model, other, buffers="skip"), weight=0.4),
        lambda model, other: operations.ema(model, other, tau=0.1),
        lambda model, other: operations.axpy(model, other, beta=0.5),
        lambda model, other: operations.average(model, model, other),
        lambda model, other: operations.perturb(model, std=0.1),
    ],
)
def test_mixed_weights_are_divided_by_their_own_norm(mix: Callable[..., None]) -> None:
    model, other = (ResidualBlock(16, spectral_norm=True) for _ in range(2))
    before = model.first.left.clone()
    mix(model, other)
    assert norms(model) == pytest.approx([1, 1], rel=0.01)
    assert not torch.equal(model.first.left, before)


def test_copies_that_callbacks_mix_are_divided_by_their_own_norm() -> None:
    spec = EnvironmentSpec((16, 16), "uint8", 6, frame_stack=4)
    module = DQN(spec, network=Impala(num_blocks=1, hidden=8, spectral_norm=True), compile=False)
    others = DQN(spec, network=Impala(num_blocks=1, hidden=8, spectral_norm=True), compile=False)
    target = EMATargetNetwork(tau=0.2)
    assert target.moves_within_graphs
    operations.copy(module.q_network, others.q_network)
    target.join(module)
    target.operate(module)
    assert not target.moves_within_graphs
    assert norms(module.target_network) == pytest.approx([1] * 6, rel=0.01)
    shrink = ShrinkAndPerturb(shrink=0.5, networks=["target_network"])
    shrink.join(module)
    shrink.act(module)
    assert norms(module.target_network) == pytest.approx([1] * 6, rel=0.01)


@pytest.mark.parametrize(("side", "size"), [(11, 6), (12, 6), (6, 6), (7, 1), (3, 6)])
def test_pooling_over_a_grid_is_torchs_adaptive_one_with_its_gradients(
    side: int, size: int
) -> None:
    image = torch.randn(2, 3, side, side + 1, requires_grad=True)
    found, expected = (pool(image) for pool in (GridMaxPool2d(size), nn.AdaptiveMaxPool2d(size)))
    assert torch.equal(found, expected)
    weights = torch.randn_like(found)
    gradients = [torch.autograd.grad((o * weights).sum(), image)[0] for o in (found, expected)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("tau", [1.0, 0.5])
@pytest.mark.parametrize("buffers", ["copy", "average", "skip"])
def test_directions_follow_the_weights_of_a_copy_whatever_happens_to_other_buffers(
    buffers: operations.BufferPolicy, tau: float
) -> None:
    average, online = ResidualBlock(3, spectral_norm=True), ResidualBlock(3, spectral_norm=True)
    operations.ema(operations.align(average, online, buffers=buffers), tau=tau)
    assert norm_of(average.first) == pytest.approx(1.0, rel=0.01)


@pytest.mark.parametrize("bound", [{"max_value": 0.05}, {"max_norm": 0.1}])
def test_directions_follow_weights_that_are_clipped(bound: dict[str, float]) -> None:
    block = ResidualBlock(3, spectral_norm=True)
    operations.clip(block, **bound)
    assert norm_of(block.first) == pytest.approx(1.0, rel=0.01)


def norm_of(conv: nn.Module) -> float:
    """Return the largest singular value of the weights that a spectral layer multiplies by."""
    assert isinstance(conv, SpectralConv2d)
    matrix = conv.weight.detach().flatten(1)
    sigma = conv.left @ (matrix @ conv.right)
    return float(torch.linalg.matrix_norm(matrix, 2) / sigma)
