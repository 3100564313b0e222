"""Each equation of td against numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lightning_dqn import td

Q_VALUES = torch.tensor([[1.0, 5.0, 3.0], [2.0, -1.0, 0.0]])


def test_a_column_of_rewards_is_refused_where_it_would_broadcast() -> None:
    flat, column = torch.ones(3), torch.ones(3, 1)
    for arguments in ((column, flat, flat), (flat, column, flat), (flat, flat, column)):
        with pytest.raises(AssertionError, match=r"has shape \(3, 1\), not rank 1"):
            td.td_target(*arguments)


def test_one_number_for_a_whole_batch_is_refused() -> None:
    with pytest.raises(AssertionError, match="shapes differ"):
        td.td_target(torch.ones(3), torch.ones(1), torch.ones(3))


def test_a_column_of_actions_is_refused() -> None:
    with pytest.raises(AssertionError, match="action has shape"):
        td.select_action(Q_VALUES, torch.zeros(2, 1, dtype=torch.int64))


def test_greedy_actions_of_atoms_are_refused() -> None:
    with pytest.raises(AssertionError, match="q_values has shape"):
        td.greedy_action(Q_VALUES.unsqueeze(-1))


def test_a_mask_for_another_number_of_actions_is_refused() -> None:
    with pytest.raises(AssertionError, match="shapes differ"):
        td.greedy_action(Q_VALUES, torch.ones(2, 1, dtype=torch.bool))


def test_no_legal_action_gives_action_0_and_no_nan() -> None:
    mask = torch.tensor([[False, False, False], [False, True, False]])
    assert td.greedy_action(Q_VALUES, mask).tolist() == [0, 1]


def test_the_greedy_action_is_the_best_legal_one() -> None:
    assert td.greedy_action(Q_VALUES).tolist() == [1, 0]
    mask = torch.tensor([[True, False, True], [False, True, True]])
    assert td.greedy_action(Q_VALUES, mask).tolist() == [2, 2]
    assert Q_VALUES[0, 1] == 5, "the values themselves are left alone"


def test_the_greedy_action_is_legal_where_all_legal_values_are_hugely_negative() -> None:
    q_values = torch.full((1, 3), torch.finfo(torch.float32).min)
    mask = torch.tensor([[False, False, True]])
    assert td.greedy_action(q_values, mask).tolist() == [2]


def test_select_action_takes_each_rows_own_action() -> None:
    assert td.select_action(Q_VALUES, torch.tensor([2, 1])).tolist() == [3.0, -1.0]


def test_select_action_takes_all_atoms_of_the_action() -> None:
    output = torch.arange(12.0).view(2, 3, 2)
    assert td.select_action(output, torch.tensor([2, 0])).tolist() == [[4.0, 5.0], [6.0, 7.0]]


def test_td_target_of_reward_discount_and_bootstrap() -> None:
    target = td.td_target(
        reward=torch.tensor([1.0, 1.0, 1.0]),
        discount=torch.tensor([0.5, 0.0, -0.5]),  # goes on, terminated, the opponent's turn
        bootstrap=torch.tensor([10.0, 10.0, 10.0]),
    )
    assert target.tolist() == [6.0, 1.0, -4.0]


def test_squared_error_is_half_the_square_and_its_gradient_the_error() -> None:
    error = torch.tensor([-3.0, 0.0, 0.5], requires_grad=True)
    loss = td.squared_error(error)
    assert loss.tolist() == [4.5, 0.0, 0.125]
    assert _gradient(loss, error).tolist() == [-3.0, 0.0, 0.5]


def test_huber_error_is_square_inside_and_linear_outside_the_threshold() -> None:
    error = torch.tensor([-3.0, -1.0, 0.0, 0.5, 4.0], requires_grad=True)
    loss = td.huber_error(error)
    assert loss.tolist() == [2.5, 0.5, 0.0, 0.125, 3.5]
    assert _gradient(loss, error).tolist() == [-1.0, -1.0, 0.0, 0.5, 1.0]


def test_huber_error_with_threshold_2() -> None:
    error = torch.tensor([-1.0, 2.0, 5.0], requires_grad=True)
    loss = td.huber_error(error, threshold=2.0)
    assert loss.tolist() == [0.5, 2.0, 8.0]
    assert _gradient(loss, error).tolist() == [-1.0, 2.0, 2.0]


def test_huber_error_of_a_huge_error_whose_square_overflows_keeps_its_gradient() -> None:
    error = torch.tensor([1e30], requires_grad=True)
    loss = td.huber_error(error)
    assert loss.isfinite().all()
    assert _gradient(loss, error).tolist() == [1.0]


@given(st.floats(-50, 50), st.floats(0.125, 10))
def test_huber_error_equals_torchs_own(error: float, threshold: float) -> None:
    ours = td.huber_error(torch.tensor([error]), threshold)
    torchs = torch.nn.functional.huber_loss(torch.tensor([error]), torch.zeros(1), delta=threshold)
    torch.testing.assert_close(ours[0], torchs)


def _gradient(loss: Tensor, of: Tensor) -> Tensor:
    return torch.autograd.grad(loss.sum(), of)[0]
