"""Looking at a module as it learns leaves no trace."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from lightning_dqn import DQN, EnvironmentSpec
from lightning_dqn.learning.looking import looking_on


def test_draws_buffers_and_gradients_are_as_if_nobody_had_looked(make_batch: Any) -> None:
    network = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2))
    module = DQN(EnvironmentSpec((4,), "float32", 2), network=network, compile=False)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    state = torch.get_rng_state()
    with looking_on(module):
        loss = module.loss(make_batch()).loss
        assert not torch.equal(torch.get_rng_state(), state), "dropout draws"
        assert int(module.q_network[1].num_batches_tracked) > 0
    assert not loss.requires_grad
    assert torch.equal(torch.get_rng_state(), state)
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, before[name]), name
