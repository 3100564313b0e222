"""Munchausen's bonus and entropy against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from lightning_dqn.learning.targets import Munchausen

# At temperature 0.5 the policy is 1/8, 2/8, 5/8.
Q_VALUES = 0.5 * torch.tensor([[1.0, 2.0, 5.0]]).log()


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (0, 0.9 * -1.0),  # 0.5 * ln(1/8) = -1.0397 is held at -1
        (1, 0.9 * 0.5 * math.log(2 / 8)),
        (2, 0.9 * 0.5 * math.log(5 / 8)),
    ],
)
def test_the_bonus_by_hand(action: int, expected: float) -> None:
    bonus = Munchausen(alpha=0.9, temperature=0.5).reward_bonus(
        Q_VALUES, torch.tensor([action]), None
    )
    torch.testing.assert_close(bonus, torch.tensor([expected]))


def test_the_bonus_counts_the_legal_actions_alone() -> None:
    mask = torch.tensor([[True, True, False]])
    bonus = Munchausen(alpha=1.0, temperature=0.5).reward_bonus(Q_VALUES, torch.tensor([0]), mask)
    torch.testing.assert_close(bonus, torch.tensor([0.5 * math.log(1 / 3)]))


def test_the_only_legal_action_earns_no_bonus() -> None:
    mask = torch.tensor([[False, True, False]])
    bonus = Munchausen(temperature=0.5).reward_bonus(Q_VALUES, torch.tensor([1]), mask)
    assert bonus.tolist() == [0.0]


@pytest.mark.parametrize("lower_bound", [0.0, -0.25, -3.0])
def test_the_bonus_is_never_below_its_bound(lower_bound: float) -> None:
    bonus = Munchausen(0.5, 0.5, lower_bound).reward_bonus(
        torch.tensor([[-1e6, 0.0]]), torch.tensor([0]), None
    )
    torch.testing.assert_close(bonus, torch.tensor([0.5 * lower_bound]))


def test_alpha_0_is_soft_q_learning_without_a_bonus() -> None:
    bonus = Munchausen(alpha=0.0).reward_bonus(Q_VALUES, torch.tensor([0]), None)
    assert bonus.tolist() == [0.0]


def test_the_entropy_bonus_by_hand() -> None:
    policy, entropy_bonus = Munchausen(temperature=0.5).soft_next(Q_VALUES, None)
    shares = [1 / 8, 2 / 8, 5 / 8]
    torch.testing.assert_close(policy, torch.tensor([shares]))
    expected = -0.5 * sum(share * math.log(share) for share in shares)
    torch.testing.assert_close(entropy_bonus, torch.tensor([expected]))


def test_the_entropy_counts_the_legal_actions_alone() -> None:
    mask = torch.tensor([[True, True, False], [False, False, True], [False, False, False]])
    _, entropy_bonus = Munchausen(temperature=0.5).soft_next(Q_VALUES.expand(3, 3), mask)
    two = -0.5 * (math.log(1 / 3) / 3 + 2 * math.log(2 / 3) / 3)
    all_of_them = -0.5 * sum(share * math.log(share) for share in (1 / 8, 2 / 8, 5 / 8))
    torch.testing.assert_close(entropy_bonus, torch.tensor([two, 0.0, all_of_them]))


def test_the_soft_value_is_the_scaled_log_of_the_sum_of_exponentials() -> None:
    q_values = torch.randn(5, 4)
    policy, entropy_bonus = Munchausen(temperature=0.3).soft_next(q_values, None)
    value = (policy * q_values).sum(dim=1) + entropy_bonus
    torch.testing.assert_close(value, 0.3 * (q_values / 0.3).logsumexp(dim=1))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"alpha": -0.1}, "alpha=-0.1: between 0 and 1"),
        ({"alpha": 1.1}, "alpha=1.1: between 0 and 1"),
        ({"temperature": 0.0}, "temperature=0.0: must be above 0"),
        ({"lower_bound": 0.5}, "lower_bound=0.5: at most 0"),
    ],
)
def test_settings_without_meaning_are_refused(arguments: dict[str, float], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Munchausen(**arguments)
