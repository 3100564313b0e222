"""Returns by hand and by their naive twin, and the difference to values."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lightning_dqn import td
from lightning_dqn.diagnostics.returns import discounted_returns, overestimation

NAN = float("nan")


def column(*values: float) -> np.ndarray:
    return np.array(values)[:, None]


def returns(reward: np.ndarray, gamma: float, last: list[int], beyond: np.ndarray) -> list[float]:
    is_last = np.zeros(reward.shape, bool)
    is_last[last] = True
    return discounted_returns(reward, gamma, is_last, beyond)[:, 0].tolist()


def test_a_terminated_episode_is_the_discounted_sum_of_its_rewards() -> None:
    found = returns(column(1, 2, 4), 0.5, [2], column(0, 0, 0))
    assert found == [1 + 0.5 * 2 + 0.25 * 4, 2 + 0.5 * 4, 4]


def test_a_truncated_episode_goes_on_with_what_it_ended_in() -> None:
    assert returns(column(1, 2), 0.5, [1], column(0, 8)) == [1 + 0.5 * 6, 6]


def test_episodes_end_where_others_begin_and_one_without_an_end_is_unknown() -> None:
    found = returns(column(1, 2, 9, 4), 0.5, [1], column(0, 0, 0, 0))
    assert found[:2] == [2, 2]
    assert np.isnan(found[2:]).all()


def test_an_end_that_is_not_known_makes_its_episode_unknown_alone() -> None:
    found = returns(column(1, 2, 3), 0.5, [1, 2], column(0, NAN, 0))
    assert np.isnan(found[:2]).all()
    assert found[2] == 3


def test_where_the_opponent_moves_next_their_return_counts_against() -> None:
    # The second player wins with the last of three plies... of the first: +1, seen as -1, +1.
    assert returns(column(0, 0, 1), -0.9, [2], column(0, 0, 0)) == pytest.approx([0.81, -0.9, 1.0])


def test_they_are_the_lambda_returns_of_a_whole_trace() -> None:
    generator = np.random.default_rng(0)
    reward, value = generator.normal(size=(2, 40, 3)).astype(np.float32)
    terminated, truncated = generator.random((2, 40, 3)) < 0.15
    truncated[-1] = True  # what is stored ends there
    is_last = terminated | truncated
    found = discounted_returns(reward, 0.9, is_last, np.where(terminated, 0.0, value))
    twin = td.lambda_returns(
        torch.from_numpy(reward),
        0.9 * (1 - torch.from_numpy(terminated).float()),
        torch.from_numpy(value),
        ~torch.from_numpy(is_last),
        1.0,
    )
    np.testing.assert_allclose(found, twin.numpy(), rtol=1e-4, atol=1e-5)


def test_overestimation_is_the_mean_of_what_is_known() -> None:
    found = overestimation(np.array([3.0, 5.0, 99.0]), np.array([1.0, 2.0, NAN]))
    assert found == {
        "overestimation": 2.5,
        "predicted_return": 4.0,
        "discounted_return": 1.5,
    }
    assert overestimation(np.array([3.0]), np.array([NAN])) == {}
