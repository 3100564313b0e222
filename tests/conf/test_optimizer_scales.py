"""Presets whose loss is a fraction of their paper's: the steps of the weights are the paper's.

Adam's steps don't depend on the scale of the loss, but for the constant in its denominator and a
limit of the gradient's norm: these two are to be scaled with it.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hydra.utils import instantiate
from torch import Tensor, nn

from lightning_dqn.networks.heads.head import Head
from lightning_dqn.networks.layers import Quantiles
from lightning_dqn.runs.compose import compose

B, F = 32, 5


def quantile_error(values: Tensor, target: Tensor) -> Tensor:
    """Return the sum over predicted quantiles of the mean over the target's: eq. 10 of QR-DQN."""
    td_error = target[:, None, :] - values[:, :, None]
    huber = torch.where(td_error.abs() <= 1, 0.5 * td_error**2, td_error.abs() - 0.5)
    below = (td_error < 0).float()
    return ((midpoints(values)[:, :, None] - below).abs() * huber).mean(2).sum(1)


def whole_square(value: Tensor, target: Tensor) -> Tensor:
    return (target - value) ** 2


def midpoints(values: Tensor) -> Tensor:
    number = values.shape[1]
    return ((torch.arange(number) + 0.5) / number).expand(len(values), -1)


def loss_of(head: Head, values: Tensor, target: Tensor) -> Tensor:
    """Return the head's own loss of predictions ``values``, with ``target`` as the next values."""

    def as_output(one: Tensor) -> Tensor | Quantiles:
        even = torch.full_like(one, 1 / one.shape[-1])
        return Quantiles(one, midpoints(one), even) if one.ndim == 2 else one

    loss = head.loss(as_output(values), torch.zeros(B), torch.ones(B), as_output(target)).loss
    assert loss.shape == (B,)
    return loss


def step(
    make: Callable[..., torch.optim.Optimizer],
    loss: Callable[[Tensor], Tensor],
    features: Tensor,
    outputs: tuple[int, ...],
    max_norm: float | None,
) -> Tensor:
    """Return how far two updates move the weights of a linear model of ``features``."""
    weight = nn.Parameter(torch.zeros(F, *outputs))
    optimizer = make([weight])
    for _ in range(2):
        optimizer.zero_grad()
        loss(torch.tensordot(features, weight, dims=1)).mean().backward()
        if max_norm is not None:
            nn.utils.clip_grad_norm_([weight], max_norm)
        optimizer.step()
    return weight.detach()


@pytest.mark.parametrize("scale", [0.1, 1.0, 1_000.0])
@pytest.mark.parametrize(
    ("preset", "papers_loss", "lr", "eps", "max_norm"),
    [
        ("qr_dqn", quantile_error, 5e-5, 0.01 / 32, None),
        ("iqn", quantile_error, 5e-5, 0.01 / 32, None),
        ("m_iqn", quantile_error, 5e-5, 0.01 / 32, None),
        ("btr", quantile_error, 1e-4, 0.005 / 256, 10.0),
        ("dqn_adam_mse", whole_square, 6.25e-5, 1.5e-4, None),
    ],
)
def test_a_presets_steps_are_its_papers(
    preset: str,
    papers_loss: Callable[[Tensor, Tensor], Tensor],
    lr: float,
    eps: float,
    max_norm: float | None,
    scale: float,
) -> None:
    module = compose([f"algorithm=atari/{preset}", "env_steps=1e6"]).module
    head = instantiate(module.head)
    outputs = () if head.outputs_per_action == 1 else (head.outputs_per_action,)
    torch.manual_seed(0)
    features, target = scale * torch.randn(B, F), torch.randn(B, *outputs)
    ours = step(
        instantiate(module.optimizer),
        lambda values: loss_of(head, values, target),
        features,
        outputs,
        module.max_gradient_norm,
    )
    papers = step(
        lambda parameters: torch.optim.Adam(parameters, lr=lr, eps=eps),
        lambda values: papers_loss(values, target),
        features,
        outputs,
        max_norm,
    )
    assert papers.abs().min() > 0
    torch.testing.assert_close(ours, papers, rtol=1e-3, atol=1e-9)
