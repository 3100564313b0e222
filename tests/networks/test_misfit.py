"""Weights that don't fit are told of before a network changes."""

import torch
from torch import nn

from lightning_dqn.networks.misfit import misfit


def network_of(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 3), nn.Linear(3, width))


def test_weights_that_fit_have_no_misfit_and_are_not_loaded():
    network, other = network_of(4), network_of(4)
    before = network[0].weight.clone()
    assert misfit(network, other.state_dict()) is None
    assert torch.equal(network[0].weight, before)


def test_a_misfit_is_told_in_a_line_and_leaves_the_network_as_it_is():
    network, other = network_of(4), network_of(5)
    before = network[0].weight.clone()
    what = misfit(network, other.state_dict())
    assert what is not None
    assert what.startswith("size mismatch for 1.weight")
    assert "\n" not in what
    assert torch.equal(network[0].weight, before)


def test_missing_names_are_a_misfit_only_where_it_is_strict():
    tensors = {"0.weight": torch.zeros(3, 2)}
    assert "Missing key" in (misfit(network_of(4), tensors) or "")
    assert misfit(network_of(4), tensors, strict=False) is None
