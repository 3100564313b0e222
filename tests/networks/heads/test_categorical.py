"""C51: its loss by hand, and what it is with two atoms."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.learning_heads import make_dqn, six_transitions
from torch import nn

from lightning_dqn.networks.heads.categorical import CategoricalHead

THIRDS = CategoricalHead(num_atoms=3, v_min=-1.0, v_max=1.0)


def test_the_q_values_of_atoms_by_hand() -> None:
    output = torch.tensor([[[1.0, 2.0, 5.0], [1.0, 1.0, 1.0]]]).log()
    # (-1 + 0 + 5) / 8 and 0
    torch.testing.assert_close(THIRDS.q_values(output), torch.tensor([[0.5, 0.0]]))


def test_the_loss_of_atoms_by_hand() -> None:
    logits = torch.tensor([[1.0, 2.0, 5.0]]).log()
    bootstrap = torch.tensor([[0.0, 0.5, 0.5]])
    found = THIRDS.loss(logits, torch.tensor([0.25]), torch.tensor([0.5]), bootstrap)
    # atoms at 0.25 and 0.75: 0.5 * (0.75, 0.25) + 0.5 * (0.25, 0.75) on 0 and 1
    target = torch.tensor([0.5, 0.5])
    divergence = (target * (target / torch.tensor([2 / 8, 5 / 8])).log()).sum()
    torch.testing.assert_close(found.loss, divergence.unsqueeze(0))
    torch.testing.assert_close(found.q_value, torch.tensor([0.5]))
    torch.testing.assert_close(found.td_error, torch.tensor([0.5 - 0.5]), atol=1e-6, rtol=0)
    torch.testing.assert_close(found.priority, found.loss)


def test_the_divergence_has_the_gradient_of_the_cross_entropy_and_ends_at_0() -> None:
    bootstrap = torch.tensor([[0.2, 0.3, 0.5]])
    one, zero = torch.ones(1), torch.zeros(1)
    logits = torch.tensor([[0.3, -1.0, 0.5]], requires_grad=True)
    [gradient] = torch.autograd.grad(THIRDS.loss(logits, zero, one, bootstrap).loss, logits)
    torch.testing.assert_close(gradient, logits.detach().softmax(dim=1) - bootstrap)
    ended = THIRDS.loss(bootstrap.log(), zero, one, bootstrap)
    torch.testing.assert_close(ended.loss, zero, atol=1e-6, rtol=0)
    assert (ended.priority >= 0).all()


def test_a_target_of_certain_atoms_and_an_impossible_prediction_have_a_finite_loss() -> None:
    logits = torch.tensor([[200.0, 0.0, -200.0]], requires_grad=True)
    certain = torch.tensor([[0.0, 0.0, 1.0]])
    loss = THIRDS.loss(logits, torch.zeros(1), torch.ones(1), certain).loss
    [gradient] = torch.autograd.grad(loss, logits)
    torch.testing.assert_close(loss.detach(), torch.tensor([400.0]))
    assert gradient.isfinite().all()


def test_the_share_of_targets_beyond_the_atoms_by_hand() -> None:
    head = CategoricalHead(num_atoms=3, v_min=-1.0, v_max=1.0)  # atoms -1, 0, 1: half a step is 0.5
    bootstrap = torch.tensor([[0.2, 0.3, 0.5], [0.2, 0.3, 0.5]])
    # 1 + 0.6 * (-1, 0, 1) = 0.4, 1.0, 1.6: only the last lies beyond; -0.5 * 0 = nothing does
    share = head.share_outside(torch.tensor([1.0, 0.0]), torch.tensor([0.6, 0.0]), bootstrap)
    assert share.item() == pytest.approx((0.5 + 0.0) / 2)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"num_atoms": 1}, "num_atoms=1: at least 2"),
        ({"v_min": 1.0, "v_max": 1.0}, r"v_min=1\.0: must lie below v_max=1\.0"),
    ],
)
def test_a_support_without_width_is_refused(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        CategoricalHead(**arguments)


def test_two_atoms_are_logistic_regression_on_the_share_of_the_way_to_the_highest() -> None:
    low, high = -4.0, 6.0
    module = make_dqn(CategoricalHead(2, v_min=low, v_max=high), double=False)
    batch = six_transitions()
    difference = module.q_network(batch.observation).diff(dim=2).squeeze(2)
    logit = difference[torch.arange(6), batch.action]
    output = module.loss(batch)
    torch.testing.assert_close(output.q_value, low + (high - low) * logit.sigmoid().detach())
    # The two atoms of the next state, each cut to the support.
    next_logit = module.target_network(batch.next_observation).diff(dim=2).squeeze(2)
    assert batch.next_action_mask is not None
    best = next_logit.masked_fill(~batch.next_action_mask, -torch.inf).argmax(dim=1)
    upper = next_logit[torch.arange(6), best].sigmoid()
    places = (
        ((batch.reward + batch.discount * atom).clamp(low, high) - low) / (high - low)
        for atom in (low, high)
    )
    at_low, at_high = places
    target = (1 - upper) * at_low + upper * at_high
    cross_entropy = nn.functional.binary_cross_entropy_with_logits(logit, target, reduction="none")
    entropy = nn.functional.binary_cross_entropy(target, target, reduction="none")
    torch.testing.assert_close(output.loss, (cross_entropy - entropy).mean())
