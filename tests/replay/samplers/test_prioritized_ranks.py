"""Prioritised sampling from the rings of two ranks is that from one ring with the rows of both."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from support.drawing import draw
from support.scripted_env import episodes, scripted_rows, spec_of
from support.threaded_ranks import in_ranks

from lightning_dqn.replay.ring import ReplayBuffer
from lightning_dqn.replay.samplers.prioritized import PrioritizedSampler, PrioritizedSampling
from lightning_dqn.replay.storage import ReplayConfig
from lightning_dqn.system.ranks import Ranks

NUM_STEPS, BATCH, UPDATES = 12, 32, 200
PRIORITIES = np.array([[1.0, 2.0, 3.0, 1.0] * 3, [0.5, 0.1, 1.0, 0.2] * 3])
"""Of each rank's steps: the second rank's come to much less."""


def shard(ranks: Ranks, beta: float) -> PrioritizedSampler:
    ring = ReplayBuffer(spec_of(), 1, ReplayConfig(NUM_STEPS + 1), seed=ranks.rank)
    sampler = PrioritizedSampler(ring, PrioritizedSampling(beta=beta))
    ring.extend(scripted_rows([episodes(NUM_STEPS)], NUM_STEPS + 1, spec_of()))
    sampler.ranks = ranks
    assert sampler.replay.num_starts == NUM_STEPS
    cells = sampler.replay.start_cells()
    sampler.tree.update(cells, torch.from_numpy(PRIORITIES[ranks.rank]))
    return sampler


def drawn(ranks: Ranks, beta: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the step and the weight of all that a rank draws."""
    sampler = shard(ranks, beta)
    batch = draw(sampler, UPDATES, BATCH // 2)
    assert batch.weight is not None
    return batch.observation[..., -1].long(), batch.weight


def test_transitions_come_as_often_as_from_one_ring() -> None:
    found = np.zeros((2, NUM_STEPS))
    for rank, (steps, weight) in enumerate(in_ranks(2, drawn)):
        kept = steps[weight > 0].flatten()
        found[rank] = np.bincount(kept.numpy(), minlength=NUM_STEPS)
    expected = PRIORITIES / PRIORITIES.sum() * found.sum()
    assert expected.min() > 5
    # Strata make the counts more even than independent draws, never less.
    assert stats.chisquare(found.flatten(), expected.flatten()).pvalue > 0.01
    uneven = np.full_like(found, found.sum() / found.size)
    assert stats.chisquare(found.flatten(), uneven.flatten()).pvalue < 1e-6, "it can fail"


def test_weights_are_those_of_one_ring_but_for_the_mean_of_what_was_kept() -> None:
    parts = in_ranks(2, drawn)
    steps = torch.stack([part[0] for part in parts])
    weights = torch.stack([part[1] for part in parts])
    priorities = torch.from_numpy(PRIORITIES).float()
    of_one = torch.stack([1 / priorities[rank][steps[rank]] for rank in range(2)])
    kept = weights > 0
    for update in range(UPDATES):
        is_kept = kept[:, update]
        ideal = of_one[:, update] * is_kept
        ideal = ideal / ideal.max() * (BATCH / is_kept.sum())
        torch.testing.assert_close(weights[:, update], ideal)


def test_new_transitions_get_the_largest_priority_of_all_ranks() -> None:
    def act(ranks: Ranks) -> float:
        sampler = shard(ranks, 1.0)
        draw(sampler, 1, 4)
        sampler.update_priorities(torch.full((1, 4), 5.0 if ranks.rank == 1 else 0.5))
        return float(sampler._largest)

    first, second = in_ranks(2, act)
    assert first == second
    assert first == pytest.approx((5.0 + 1e-6) ** 0.6)
