"""Names the parameters that a loss doesn't depend on, where torch only says that there are some."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from lightning_dqn.learning.loss_output import Loss
from lightning_dqn.transitions import Transitions


@contextmanager
def naming_unused(loss: Loss, batch: Transitions, network: nn.Module) -> Iterator[None]:
    """Name the parameters without a gradient where torch finds one within.

    Args:
        loss: of which gradients are taken within.
        batch: columns [B, ...], of which it can be taken once more.
        network: whose parameters learn.

    Raises:
        ValueError: the loss doesn't depend on a parameter that learns.
    """
    try:
        yield
    except RuntimeError as error:
        if "not have been used in the graph" in str(error):
            raise ValueError(_refusal(loss, batch, network)) from error
        raise


def _refusal(loss: Loss, batch: Transitions, network: nn.Module) -> str:
    """Return what is wrong, and what helps."""
    learning = {name: one for name, one in network.named_parameters() if one.requires_grad}
    gradients = torch.autograd.grad(
        loss(batch.with_intensity()).loss, list(learning.values()), allow_unused=True
    )
    pairs = zip(learning, gradients, strict=True)
    names = [name for name, gradient in pairs if gradient is None]
    owners = [network.get_submodule(name.rpartition(".")[0]) for name in names]
    remedy = "use what they give"
    if not any(owner.training for owner in owners):
        remedy = "they are in evaluation mode: call module.train() before the fit"
    return (
        f"network: the loss doesn't depend on {', '.join(names)}, which therefore can't learn; "
        f"{remedy}, or leave them out by requires_grad_(False)"
    )
