"""Priorities that actors compute: by hand on a small problem, and on their way to the sampler."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lightning_dqn.collecting.remote.block import Following
from lightning_dqn.collecting.remote.chains import ChainTerms
from lightning_dqn.collecting.remote.initial_priorities import (
    initial_priorities,
    no_priorities,
)
from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.networks.heads.scalar import ScalarHead
from lightning_dqn.policy import GreedyPolicy
from lightning_dqn.transitions import NO_ACTION, Rows

# Three states in a row, of which the last ends the episode, with values of two actions.
VALUES = torch.tensor([[1.0, 2.0], [4.0, 3.0], [9.0, 9.0]])
STATES = EnvironmentSpec((), "int64", num_actions=2, num_states=3)
STACKS = EnvironmentSpec((1,), "float32", num_actions=2, frame_stack=2)


class Table(nn.Module):
    """Values of states, or of the newest frame and a tenth of the one before it."""

    def __init__(self) -> None:
        super().__init__()
        self.values = nn.Parameter(VALUES)

    def forward(self, observation: Tensor) -> Tensor:
        if observation.ndim == 1:
            return self.values[observation]
        return self.values[observation[:, 1, 0].long()] + 0.1 * observation[:, 0]


def policy(spec: EnvironmentSpec = STATES) -> GreedyPolicy:
    return GreedyPolicy(Table(), ScalarHead(), spec)


def block(observation: object, *, following: object) -> tuple[Rows, Following]:
    """Return the rows of one environment: to state 1, to the end, and from the start again."""
    seen = np.array(observation)[:, None]
    rows = Rows(
        observation=seen,
        action=np.array([[1], [0], [NO_ACTION], [0]]),
        reward=np.array([[1.0], [-2.0], [0.0], [0.5]], np.float32),
        terminated=np.array([[False], [True], [False], [False]]),
        truncated=np.zeros((4, 1), bool),
        action_mask=None,
    )
    last = np.array(following)[None]
    return rows, Following(last, last, None)


@pytest.mark.parametrize(
    ("n_step", "by_hand"),
    [
        # 1 + 0.5 * 4 - 2;  -2 - 4;  none;  0.5 + 0.5 * 4 - 1
        (1, [1.0, 6.0, -1.0, 1.5]),
        # 1 + 0.5 * -2 - 2, to the end;  -2 - 4;  none;  goes on beyond the block
        (2, [2.0, 6.0, -1.0, -1.0]),
    ],
)
def test_td_errors_by_hand(n_step, by_hand):
    rows, following = block([0, 1, 2, 0], following=1)
    terms = ChainTerms(0.5, n_step, None)
    found = initial_priorities(rows, following, terms, 1, policy())
    assert found.dtype == np.float32
    assert found[:, 0].tolist() == pytest.approx(by_hand)


def test_rewards_are_clipped_as_they_are_for_learning():
    rows, following = block([0, 1, 2, 0], following=1)
    found = initial_priorities(rows, following, ChainTerms(0.5, 1, 1.0), 1, policy())
    assert found[:2, 0].tolist() == pytest.approx([1.0, 5.0])


def test_the_next_action_is_a_legal_one():
    rows, following = block([0, 1, 2, 0], following=1)
    mask = np.ones((4, 1, 2), bool)
    mask[1, 0] = [False, True]
    rows = rows._replace(action_mask=mask)
    following = following._replace(action_mask=np.array([[False, True]]))
    found = initial_priorities(rows, following, ChainTerms(0.5, 1, None), 1, policy())
    # 1 + 0.5 * 3 - 2;  -2 - 4;  none;  0.5 + 0.5 * 3 - 1
    assert found[:, 0].tolist() == pytest.approx([0.5, 6.0, -1.0, 1.0])


def test_of_stacks_those_alone_that_are_whole_within_the_block():
    frames = np.array([[0.0], [1.0], [2.0], [0.0]], np.float32)
    rows, following = block(frames, following=[1.0])
    found = initial_priorities(rows, following, ChainTerms(0.5, 1, None), 2, policy(STACKS))
    # unknown before;  -2 - 4.0;  none;  first of its episode: 0.5 + 0.5 * 4 - 1
    assert found[:, 0].tolist() == pytest.approx([-1.0, 6.0, -1.0, 1.5])


def test_many_are_valued_a_part_at_a_time():
    class Counts(GreedyPolicy):
        sizes: list[int] = []  # noqa: RUF012

        def priorities(self, observation: np.ndarray, *others: object) -> np.ndarray:
            self.sizes.append(len(observation))
            return np.arange(len(observation), dtype=np.float32)

    size = (100, 6)
    rows = Rows(
        observation=np.zeros(size, np.int64),
        action=np.zeros(size, np.int64),
        reward=np.zeros(size, np.float32),
        terminated=np.zeros(size, bool),
        truncated=np.zeros(size, bool),
        action_mask=None,
    )
    following = Following(np.zeros(6, np.int64), np.zeros(6, np.int64), None)
    counts = Counts(Table(), ScalarHead(), STATES)
    found = initial_priorities(rows, following, ChainTerms(0.5, 1, None), 1, counts)
    assert counts.sizes == [256, 256, 88]
    assert found.flatten().tolist() == [*range(256), *range(256), *range(88)]


def test_where_nothing_acts_nothing_is_said():
    rows, _ = block([0, 1, 2, 0], following=1)
    assert no_priorities(rows).tolist() == [[-1.0]] * 4
