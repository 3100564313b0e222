"""Self-prediction by its equations: latents foretold, what they are held against, what learns."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from lightning_dqn.networks import operations
from lightning_dqn.networks.self_prediction import (
    SelfPrediction,
    TransitionModel,
    renormalised,
    self_prediction_error,
)


def test_latents_are_scaled_by_the_range_of_each() -> None:
    latent = torch.tensor([[[[2.0, 4.0], [6.0, 10.0]]], [[[-1.0, 0.0], [0.0, 1.0]]]])
    found = renormalised(latent)
    assert found.shape == latent.shape
    expected = torch.tensor([[0, 0.25, 0.5, 1.0], [0, 0.5, 0.5, 1.0]])
    torch.testing.assert_close(found.flatten(1), expected, atol=1e-5, rtol=0)
    assert renormalised(torch.full((1, 2, 3, 3), 7.0)).eq(0).all(), "no range, nothing told apart"


def test_an_action_is_a_plane_of_ones_beside_the_channels_by_hand() -> None:
    model = TransitionModel(1, 2)
    with torch.no_grad():
        for conv in (model.first, model.second):
            conv.weight.zero_()
            conv.bias.zero_()
        model.first.weight[0, :, 1, 1] = torch.tensor([1.0, 10.0, -100.0])
        model.second.weight[0, 0, 1, 1] = 2.0
    latent = torch.tensor([[[[0.0, 1.0], [2.0, 4.0]]]]).expand(2, 1, 2, 2)
    found = model(latent, torch.tensor([0, 1]))
    # action 0: 2 * (z + 10), renormalised; action 1: relu(z - 100) = 0
    expected = torch.tensor([[0.0, 0.25], [0.5, 1.0]])
    torch.testing.assert_close(found[0, 0], expected, atol=1e-5, rtol=0)
    assert found[1].eq(0).all()


def test_each_latent_is_predicted_from_the_one_before_and_its_own_action() -> None:
    model = TransitionModel(3, 4)
    latent, action = torch.rand(2, 3, 5, 5), torch.tensor([[0, 3, 1], [2, 2, 0]])
    found = model.rollout(latent, action)
    assert found.shape == (2, 3, 3, 5, 5)
    first = model(latent, action[:, 0])
    torch.testing.assert_close(found[:, 0], first)
    torch.testing.assert_close(found[:, 2], model(model(first, action[:, 1]), action[:, 2]))


def test_the_error_is_one_minus_the_cosine_summed_over_steps_by_hand() -> None:
    predicted = torch.tensor([[[1.0, 0.0], [3.0, 4.0], [1.0, 1.0]]])
    projected = torch.tensor([[[2.0, 0.0], [4.0, 3.0], [-1.0, -1.0]]])
    every = torch.ones(1, 3, dtype=torch.bool)
    found = self_prediction_error(predicted, projected, every)
    torch.testing.assert_close(found, torch.tensor([0 + (1 - 24 / 25) + 2.0]))


def test_steps_after_an_episodes_end_count_nothing() -> None:
    within = torch.tensor([[True, False, False], [True, True, True], [False, False, False]])
    predicted, projected = torch.randn(3, 3, 4), torch.randn(3, 3, 4)
    error = self_prediction_error(predicted, projected, within)
    assert error[2] == 0
    torch.testing.assert_close(
        error[0], 1 - nn.functional.cosine_similarity(predicted[0, 0], projected[0, 0], dim=0)
    )


def parts() -> tuple[nn.Module, nn.Module, SelfPrediction]:
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), nn.ReLU())
    projection = nn.Sequential(nn.Flatten(), nn.Linear(6 * 36, 8))
    return encoder, projection, SelfPrediction(6, num_actions=3, projected=8)


def error_of(
    encoder: nn.Module, projection: nn.Module, target: nn.Module, model: SelfPrediction
) -> Tensor:
    """Return the mean error on frames of which each is the one before, shifted by the action."""
    draw = torch.Generator().manual_seed(1)
    frames = [torch.rand(16, 4, 6, 6, generator=draw)]
    action = torch.randint(3, (16, 3), generator=draw)
    for taken in action.unbind(1):
        moved = [torch.roll(f, int(a), dims=2) for f, a in zip(frames[-1], taken, strict=True)]
        frames.append(torch.stack(moved))
    predicted = model(encoder(frames[0]), action, projection)
    slow_encoder, slow_projection = target
    projected = [slow_projection(renormalised(slow_encoder(f))) for f in frames[1:]]
    within = torch.ones(16, 3, dtype=torch.bool)
    return self_prediction_error(predicted, torch.stack(projected, 1), within).mean()


def test_gradients_reach_encoder_projection_and_model_and_never_the_target() -> None:
    encoder, projection, model = parts()
    target = deepcopy(nn.ModuleList([encoder, projection]))
    error_of(encoder, projection, target, model).backward()
    for learns in (encoder, projection, model):
        assert all(p.grad is not None and p.grad.any() for p in learns.parameters())
    assert all(p.grad is None for p in target.parameters())


def test_latents_of_frames_that_actions_move_become_foretold() -> None:
    encoder, projection, model = parts()
    online = nn.ModuleList([encoder, projection])
    target = deepcopy(online)
    optimizer = torch.optim.Adam([*online.parameters(), *model.parameters()], lr=3e-3)
    errors = []
    for _ in range(60):
        error = error_of(encoder, projection, target, model)
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        operations.ema(target, online, tau=0.01)
        errors.append(error.item())
    assert errors[-1] < 0.5 * errors[0]


def test_shapes_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \(B, K, P\) twice, and \(B, K\)$"):
        self_prediction_error(torch.ones(2, 3, 4), torch.ones(2, 3, 4), torch.ones(3, 2).bool())
