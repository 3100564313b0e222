"""Quantile heads: their losses by hand, and which of them are the same where."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.learning_heads import make_dqn, named_gradients, six_transitions
from torch import nn

from lightning_dqn.networks.heads.head import Head
from lightning_dqn.networks.heads.quantile import (
    ImplicitQuantileHead,
    ProposedQuantileHead,
    QuantileHead,
)
from lightning_dqn.networks.heads.scalar import ScalarHead
from lightning_dqn.networks.layers import Quantiles

# --- by hand


def test_the_q_values_of_quantiles_are_their_means_weighted_where_they_differ() -> None:
    values = torch.tensor([[[1.0, 2.0, 6.0], [0.0, 0.0, -3.0]]])
    head = QuantileHead(num_quantiles=3)
    torch.testing.assert_close(head.q_values(values), torch.tensor([[3.0, -1.0]]))
    fractions, weights = torch.tensor([[0.1, 0.4, 0.8]]), torch.tensor([[0.5, 0.25, 0.25]])
    # 0.5 + 0.5 + 1.5 and -0.75
    weighted = head.q_values(Quantiles(values, fractions, weights))
    torch.testing.assert_close(weighted, torch.tensor([[2.5, -0.75]]))


def test_the_loss_of_quantiles_by_hand() -> None:
    head = QuantileHead(num_quantiles=2)
    prediction = head.select(torch.tensor([[[9.0, 9.0], [1.0, 3.0]]]), torch.tensor([1]))
    bootstrap = head.select(torch.tensor([[[2.0, 8.0], [9.0, 9.0]]]), torch.tensor([0]))
    found = head.loss(prediction, torch.tensor([1.0]), torch.tensor([0.5]), bootstrap)
    # targets 2 and 5, see the quantile Huber error by hand
    torch.testing.assert_close(found.loss, torch.tensor([0.5625]))
    torch.testing.assert_close(found.q_value, torch.tensor([2.0]))
    torch.testing.assert_close(found.td_error, torch.tensor([3.5 - 2.0]))
    torch.testing.assert_close(found.priority, found.loss)


def test_the_error_of_fractions_is_minimised_but_is_no_priority() -> None:
    head = ProposedQuantileHead(num_quantiles=2)
    edges = torch.tensor([[0.5]], requires_grad=True)
    prediction = Quantiles(
        torch.tensor([[1.0, 3.0]]),
        torch.tensor([[0.25, 0.75]]),
        torch.tensor([[0.5, 0.5]]),
        edges,
        torch.tensor([[2.5]]),
    )
    bootstrap = prediction._replace(values=torch.tensor([[2.0, 8.0]]), edges=None, at_edges=None)
    found = head.loss(prediction, torch.tensor([1.0]), torch.tensor([0.5]), bootstrap)
    # the fractions have the gradient 2 * 2.5 - 1 - 3 = 1, and no part in the number
    torch.testing.assert_close(found.loss.detach(), torch.tensor([0.5625]))
    torch.testing.assert_close(found.priority, torch.tensor([0.5625]))
    [gradient] = torch.autograd.grad(found.loss, edges)
    assert gradient.tolist() == [[1.0]]


@pytest.mark.parametrize(
    ("kind", "arguments", "reason"),
    [
        (QuantileHead, {"num_quantiles": 0}, "num_quantiles=0: at least 1"),
        (QuantileHead, {"huber_threshold": -1.0}, r"huber_threshold=-1\.0: at least 0"),
        (ImplicitQuantileHead, {"num_quantiles": 0}, "num_quantiles=0: at least 1"),
        (ImplicitQuantileHead, {"num_evaluation_quantiles": 0}, "num_evaluation_quantiles=0"),
        (ImplicitQuantileHead, {"num_cosines": 0}, "num_cosines=0: at least 1"),
        (ProposedQuantileHead, {"num_cosines": 0}, "num_cosines=0: at least 1"),
        (ProposedQuantileHead, {"proposal_scale": -0.1}, r"proposal_scale=-0\.1: at least 0"),
    ],
)
def test_counts_and_scales_without_meaning_are_refused(
    kind: type[Head], arguments: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        kind(**arguments)


# --- equivalences, through the loss of a module


@pytest.mark.parametrize("threshold", [0.0, 1.0, 0.25])
def test_one_quantile_is_half_the_scalar_error(threshold: float) -> None:
    batch = six_transitions()
    quantile = make_dqn(QuantileHead(1, huber_threshold=threshold))
    scalar = make_dqn(ScalarHead(huber_threshold=threshold or 1.0))
    found, expected = quantile.loss(batch), scalar.loss(batch)
    torch.testing.assert_close(found.td_error, expected.td_error)
    torch.testing.assert_close(found.q_value, expected.q_value)
    if threshold:
        torch.testing.assert_close(found.loss, expected.loss / (2 * threshold))
    else:
        torch.testing.assert_close(found.loss, expected.td_error.abs().mean() / 2)


def test_implicit_quantiles_that_do_not_look_at_their_fraction_are_the_scalar_network() -> None:
    module = make_dqn(ImplicitQuantileHead(6, num_evaluation_quantiles=4)).eval()
    scalar = make_dqn(ScalarHead())
    for network in (module.q_network, module.target_network):
        nn.init.zeros_(network.head.embedding.weight)
        nn.init.ones_(network.head.embedding.bias)
    for name in ("q_network", "target_network"):
        ours, theirs = module.get_submodule(name), scalar.get_submodule(name)
        theirs.torso.load_state_dict(ours.torso.state_dict())
        theirs.head.load_state_dict(ours.head.output.state_dict())
    batch = six_transitions()
    torch.testing.assert_close(
        module.q_values(batch.observation), scalar.q_values(batch.observation)
    )
    found, expected = module.loss(batch), scalar.loss(batch)
    torch.testing.assert_close(found.td_error, expected.td_error)
    # the mean of |fraction - [target < prediction]| over symmetric midpoints is 1/2
    torch.testing.assert_close(found.loss, expected.loss / 2)


def test_equal_proposals_are_the_fixed_midpoints_of_implicit_quantiles() -> None:
    fixed = make_dqn(ImplicitQuantileHead(4, num_evaluation_quantiles=4)).eval()
    module = make_dqn(ProposedQuantileHead(4, proposal_scale=0.0))
    for name in ("q_network", "target_network"):
        module.get_submodule(name).load_state_dict(
            fixed.get_submodule(name).state_dict(), strict=False
        )
    batch = six_transitions()
    expected, found = fixed.loss(batch), module.loss(batch)
    torch.testing.assert_close(found.td_error, expected.td_error)
    torch.testing.assert_close(found.priority, expected.priority)
    torch.testing.assert_close(module.eval().loss(batch).loss, expected.loss)
    gradients = dict(named_gradients(module.train(), batch))
    assert not gradients.pop("head.proposal.weight").any()
    assert not gradients.pop("head.proposal.bias").any()
    torch.testing.assert_close(gradients, dict(named_gradients(fixed, batch)))


def test_the_proposal_learns_from_the_error_of_fractions_alone() -> None:
    head = ProposedQuantileHead(num_quantiles=4, num_cosines=5, proposal_scale=1.0)
    module, batch = make_dqn(head), six_transitions()
    gradients = dict(named_gradients(module, batch))
    quantiles = head.select(module.q_network(batch.observation), batch.action)
    values, edges, at_edges = quantiles.values, quantiles.edges, quantiles.at_edges
    slope = (2 * at_edges - values[:, :-1] - values[:, 1:]).detach()
    proposal = module.q_network.head.proposal
    [expected] = torch.autograd.grad((slope * edges).sum(dim=1).mean(), [proposal.weight])
    assert expected.any()
    torch.testing.assert_close(gradients["head.proposal.weight"], expected)
