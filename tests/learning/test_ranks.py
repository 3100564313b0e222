"""Several ranks with parts of a minibatch learn as one with the whole of it."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from support.learning_heads import each_head, make_dqn, six_transitions
from support.threaded_ranks import in_ranks

from lightning_dqn import DQN
from lightning_dqn.learning.blocks import LearningStep
from lightning_dqn.learning.ranks import check_together
from lightning_dqn.learning.update import Update
from lightning_dqn.networks.heads.scalar import ScalarHead
from lightning_dqn.system.ranks import Ranks, RanksApart
from lightning_dqn.transitions import Transitions, UpdateStatistics

CPU = torch.device("cpu")


def part(batch: Transitions, ranks: Ranks) -> Transitions:
    size = len(batch.action) // ranks.size
    rows = slice(ranks.rank * size, (ranks.rank + 1) * size)
    return Transitions(*(None if column is None else column[rows] for column in batch))  # type: ignore[arg-type]


@pytest.fixture
def same_fractions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each row draw the same fractions, however many rows there are."""

    monkeypatch.setattr(torch, "rand_like", lambda like: torch.full_like(like, 0.3))


@each_head
def test_two_ranks_have_the_gradients_of_one_with_the_whole_minibatch(
    head: Any, same_fractions: None
) -> None:
    batch = six_transitions(weight=torch.tensor([1.0, 0.2, 0.5, 0.7, 0.1, 0.9]))
    whole = _in_turn(head, batch, Ranks())
    halves = in_ranks(2, lambda ranks: _in_turn(head, batch, ranks))
    for half in halves:
        torch.testing.assert_close(half.gradients, whole.gradients, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(half.statistics, whole.statistics, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(half.squares, whole.squares, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(torch.cat([h.priority for h in halves]), whole.priority)
    torch.testing.assert_close(halves[0].gradients, halves[1].gradients, rtol=0, atol=0)


def _in_turn(head: Any, batch: Transitions, ranks: Ranks) -> LearningStep:
    module = _made_in_turn(head, ranks)
    update = Update(module.loss, module.agent.q_network, max_gradient_norm=0.5, compile=False)
    update.prepare(expected_updates=1, device=CPU, is_distributional=False, ranks=ranks)
    return update.learn(part(batch, ranks))


def _made_in_turn(head: Any, ranks: Ranks) -> DQN:
    """Make the networks one after the other, for they draw from one generator."""
    made = []
    for turn in range(ranks.size):
        if turn == ranks.rank:
            made.append(make_dqn(head))
        ranks.gather(torch.zeros(1))
    return made[0]


def test_nan_in_one_rank_is_seen_by_all_and_moves_nobody() -> None:
    batch = six_transitions(reward=torch.tensor([0.0, 0.0, 0.0, 0.0, math.nan, 0.0]))
    for step in in_ranks(2, lambda ranks: _in_turn(ScalarHead(), batch, ranks)):
        statistics = UpdateStatistics.of(step.statistics)
        assert math.isnan(statistics.loss)
        assert math.isnan(statistics.gradient_norm)
        assert not any(bool(gradient.any()) for gradient in step.gradients)


def test_a_priority_that_is_not_finite_is_heard_of_by_all() -> None:
    batch = six_transitions()

    def act(ranks: Ranks) -> LearningStep:
        module = _made_in_turn(ScalarHead(), ranks)
        loss = module.loss

        def own(rows: Transitions) -> Any:
            output = loss(rows)
            wrong = torch.full_like(output.td_error, math.inf if ranks.rank == 1 else 0.0)
            return output._replace(priority=wrong)

        update = Update(own, module.agent.q_network, compile=False)
        update.prepare(expected_updates=1, device=CPU, is_distributional=False, ranks=ranks)
        return update.learn(part(batch, ranks))

    for step in in_ranks(2, act):
        assert math.isnan(UpdateStatistics.of(step.statistics).td_error)


def test_weights_that_came_apart_are_told_of_in_all_ranks() -> None:
    def act(ranks: Ranks, gap: float) -> str:
        weights = [torch.ones(3), torch.full((2,), 1.0 + gap * ranks.rank)]
        try:
            check_together(ranks, weights, updates=7)
        except RanksApart as error:
            return str(error)
        return ""

    assert in_ranks(2, lambda ranks: act(ranks, 0.0)) == ["", ""]
    for told in in_ranks(2, lambda ranks: act(ranks, 1e-7)):
        assert "the networks of 2 ranks are no longer the same at update 7" in told
