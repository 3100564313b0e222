"""Shares of actions and their entropy, over what the ring holds newest."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from lightning_dqn import EnvironmentSpec, ReplayBuffer, ReplayConfig
from lightning_dqn.diagnostics.exploration import (
    action_shares,
    exploration_diagnostics,
    relative_entropy,
)
from lightning_dqn.transitions import NO_ACTION, Rows


def ring_with(actions: list[int], *, num_actions: int, capacity: int = 4_000) -> ReplayBuffer:
    """Return a ring of one environment with these actions, oldest first."""
    size = (len(actions), 1)
    ring = ReplayBuffer(
        EnvironmentSpec((2,), "float32", num_actions), 1, ReplayConfig(capacity=capacity)
    )
    ring.extend(
        Rows(
            np.zeros((*size, 2), np.float32),
            np.array(actions).reshape(size),
            np.zeros(size, np.float32),
            np.zeros(size, bool),
            np.zeros(size, bool),
            None,
        )
    )
    return ring


def test_shares_count_each_action() -> None:
    assert action_shares(torch.tensor([2, 0, 2, 2]), 4).tolist() == [0.25, 0.0, 0.75, 0.0]


def test_entropy_is_1_of_equal_shares_and_0_of_one_alone() -> None:
    assert relative_entropy(torch.full((5,), 0.2)).item() == pytest.approx(1.0)
    assert relative_entropy(torch.tensor([0.0, 1.0, 0.0])).item() == 0.0
    half = relative_entropy(torch.tensor([0.5, 0.5, 0.0, 0.0])).item()
    assert half == pytest.approx(math.log(2) / math.log(4))


def test_the_newest_actions_are_told_without_final_observations() -> None:
    # 1,024 rows are looked at: 512 times action 1 and a final observation, before them action 0.
    ring = ring_with([0] * 1_000 + [1, NO_ACTION] * 511 + [0, 0], num_actions=2)
    found = exploration_diagnostics(ring)
    assert found["exploration/action_share/0"].item() == pytest.approx(2 / 513)
    assert found["exploration/action_share/1"].item() == pytest.approx(511 / 513)


def test_many_actions_have_an_entropy_and_no_shares() -> None:
    found = exploration_diagnostics(ring_with(list(range(19)) * 10, num_actions=19))
    assert found.keys() == {"exploration/action_entropy"}
    assert found["exploration/action_entropy"].item() == pytest.approx(1.0)
    assert len(exploration_diagnostics(ring_with([0] * 64, num_actions=18))) == 19


def test_of_a_single_action_there_is_no_entropy() -> None:
    found = exploration_diagnostics(ring_with([0] * 64, num_actions=1))
    assert {name: share.item() for name, share in found.items()} == {
        "exploration/action_share/0": 1.0
    }


def test_few_actions_tell_nothing() -> None:
    assert exploration_diagnostics(ring_with([0] * 63 + [NO_ACTION], num_actions=2)) == {}
    assert exploration_diagnostics(ring_with([0] * 64 + [NO_ACTION], num_actions=2)) != {}
