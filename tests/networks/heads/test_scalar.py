"""The scalar head: its errors by hand."""

from __future__ import annotations

import pytest
import torch

from lightning_dqn.networks.heads.scalar import ScalarHead

REWARD = torch.tensor([1.0, 1.0])
DISCOUNT = torch.tensor([0.5, 0.0])
BOOTSTRAP = torch.tensor([8.0, 8.0])
PREDICTION = torch.tensor([2.0, 2.0])  # targets 5 and 1: TD errors 3 and -1


def test_an_unknown_error_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="error='l1': choose 'huber' or 'mse'"):
        ScalarHead(error="l1")  # type: ignore[arg-type]


@pytest.mark.parametrize("threshold", [0.0, -1.0])
def test_a_huber_threshold_that_is_not_positive_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match=f"huber_threshold={threshold}"):
        ScalarHead(error="huber", huber_threshold=threshold)


def test_the_scalar_heads_q_values_are_the_output() -> None:
    output = torch.rand(2, 3)
    assert torch.equal(ScalarHead().q_values(output), output)
    assert ScalarHead.outputs_per_action == 1


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (ScalarHead(error="mse"), [4.5, 0.5]),
        (ScalarHead(), [2.5, 0.5]),
        (ScalarHead(error="huber"), [2.5, 0.5]),
        (ScalarHead(error="huber", huber_threshold=2.0), [4.0, 0.5]),
    ],
)
def test_the_loss_of_known_td_errors(head: ScalarHead, expected: list[float]) -> None:
    loss, q_value, td_error, priority = head.loss(PREDICTION, REWARD, DISCOUNT, BOOTSTRAP)
    assert td_error.tolist() == [3.0, -1.0], "target minus prediction"
    assert loss.tolist() == expected
    assert q_value.tolist() == [2.0, 2.0]
    assert priority.tolist() == [3.0, 1.0]


def test_the_loss_pulls_the_prediction_toward_the_target() -> None:
    prediction = PREDICTION.clone().requires_grad_()
    ScalarHead(error="huber").loss(prediction, REWARD, DISCOUNT, BOOTSTRAP).loss.sum().backward()
    assert prediction.grad is not None
    assert prediction.grad.tolist() == [-1.0, 1.0]
