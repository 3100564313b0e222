"""DQNs of three actions with any head, and what they would learn from a minibatch."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_dqn import DQN, EnvironmentSpec
from lightning_dqn.networks.heads.categorical import CategoricalHead
from lightning_dqn.networks.heads.head import Head
from lightning_dqn.networks.heads.quantile import (
    ImplicitQuantileHead,
    ProposedQuantileHead,
    QuantileHead,
)
from lightning_dqn.networks.heads.scalar import ScalarHead
from lightning_dqn.transitions import Transitions
from support.six_transitions import six_transitions as any_six_transitions
from support.switches import switched_dqn

TRIO = EnvironmentSpec((2,), "float32", num_actions=3)
HEADS: list[Head] = [
    ScalarHead(),
    ScalarHead(error="mse"),
    CategoricalHead(num_atoms=7, v_min=-3.0, v_max=4.0),
    QuantileHead(num_quantiles=5),
    QuantileHead(num_quantiles=1),
    ImplicitQuantileHead(num_quantiles=6, num_evaluation_quantiles=4, num_cosines=5),
    ProposedQuantileHead(num_quantiles=4, num_cosines=5, proposal_scale=1.0),
]
each_head = pytest.mark.parametrize("head", HEADS, ids=lambda head: type(head).__name__)

six_transitions = partial(any_six_transitions, seed=3)


def make_dqn(head: Head, **arguments: Any) -> DQN:
    """A DQN of 3 actions whose target network is another network."""
    torch.manual_seed(0)
    layers = [{"Linear": 6}, "Tanh"]
    module = switched_dqn(TRIO, **{"network": layers, "head": head, "compile": False, **arguments})
    with torch.no_grad():
        for name in ("q_network", *module.agent.copies):
            for parameter in module.agent.get_submodule(name).parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
    return module


def learn(module: DQN, batch: Transitions) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
    """Return loss, TD errors, priorities and gradients, with the same random numbers each time."""
    torch.manual_seed(7)
    output = module.loss(batch)
    parameters = list(module.q_network.parameters())
    gradients = torch.autograd.grad(output.loss, parameters)
    assert output.priority is not None
    return output.loss.detach(), output.td_error, output.priority, list(gradients)


def named_gradients(module: DQN, batch: Transitions) -> list[tuple[str, Tensor]]:
    """Return what :func:`learn` says of gradients, by the parameters' names."""
    names = [name for name, _ in module.q_network.named_parameters()]
    return list(zip(names, learn(module, batch)[3], strict=True))
