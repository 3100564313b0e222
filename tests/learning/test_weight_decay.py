"""AdamW that spares biases: what it was asked for is what it goes by."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import partial

import pytest
import torch
from torch import nn

from lightning_dqn import DQN
from lightning_dqn.learning.weight_decay import adamw
from lightning_dqn.networks import operations
from lightning_dqn.networks.alignment import align, without_normalisations


def test_both_groups_have_the_rate_and_epsilon_and_weights_alone_decay() -> None:
    weight, bias = nn.Parameter(torch.ones(2, 3)), nn.Parameter(torch.ones(2))
    groups = adamw([weight, bias], lr=0.5, eps=1.5e-4, weight_decay=0.1, fused=False).param_groups
    assert [(group["lr"], group["eps"]) for group in groups] == [(0.5, 1.5e-4)] * 2
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]
    assert [group["params"] for group in groups] == [[weight], [bias]]


def _as_it_is(module: DQN) -> DQN:
    return module


def _with_assigned_weights(module: DQN) -> DQN:
    module.load_state_dict(module.state_dict(), assign=True)
    return module


@pytest.mark.parametrize("made", [_as_it_is, deepcopy, _with_assigned_weights])
def test_an_image_normalisations_gain_is_none_of_the_weights_of_a_copied_module_either(
    made: Callable[[DQN], DQN],
) -> None:
    layers = [{"Linear": 16}, {"Unflatten": [1, [1, 4, 4]]}, {"LayerNorm": [[1, 4, 4]]}, "Flatten"]
    optimizer = partial(adamw, weight_decay=0.1)
    module = made(DQN("CartPole-v1", network=layers, optimizer=optimizer))
    decaying, others = module.make_optimizers(None).param_groups
    q_network = module.q_network
    assert [p.shape for p in decaying["params"]] == [(16, 4), (2, 16)]
    assert (decaying["weight_decay"], others["weight_decay"]) == (0.1, 0.0)

    copied = made(DQN("CartPole-v1", network=layers))
    names = without_normalisations(align(copied.q_network)).names
    assert {n for n, _ in q_network.named_parameters()} - set(names) == {
        "torso.2.weight",
        "torso.2.bias",
    }
    norms, _ = operations.spectral_norms(made(copied).agent.get_submodule("target_network"))
    assert len(norms) == 2, "of the two matrices alone"
