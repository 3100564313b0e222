"""Ages, duplicates, fill and ratio of what was learned from, on rings filled by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from support.scripted_env import episodes
from support.scripted_rings import ring_of

from lightning_dqn import ReplayBuffer
from lightning_dqn.diagnostics.replay import (
    ages,
    duplicate_share,
    replay_diagnostics,
    stale_share,
)
from lightning_dqn.replay.samplers.sampler import Sampler
from lightning_dqn.transitions import Iteration

SCRIPTS = [episodes(100), episodes(100)]


class Given(Sampler):
    """Draws the cells that it is given."""

    def __init__(self, replay: ReplayBuffer, *, replays: bool = True, priorities: bool = False):
        self.replay = replay
        self.replays = replays
        self.uses_priorities = priorities

    def sample(self, *args: Any) -> Any:
        raise NotImplementedError


def iteration(ring: ReplayBuffer, cells: list[list[int]], new_env_steps: int = 4) -> Iteration:
    drawn = torch.tensor(cells)
    transitions = ring.transitions_at(drawn.flatten()).unflatten(*drawn.shape)
    return Iteration(transitions, 100, new_env_steps, 0.1, [])


def read(found: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in found.items()}


def test_the_age_of_a_row_counts_what_was_written_since() -> None:
    ring = ring_of(SCRIPTS, 5)  # cells 0 to 9, two a time, the newest 8 and 9
    assert ages(torch.arange(10), ring).tolist() == [8, 8, 6, 6, 4, 4, 2, 2, 0, 0]


def test_ages_go_round_with_the_ring() -> None:
    ring = ring_of(SCRIPTS, 7, keeps=5)  # times 5 and 6 lie where 0 and 1 were
    assert ages(torch.arange(0, 10, 2), ring).tolist() == [2, 0, 8, 6, 4]


def test_duplicates_count_all_but_the_first() -> None:
    assert duplicate_share(torch.tensor([[7, 1, 7, 7]])).item() == 0.5
    assert duplicate_share(torch.tensor([[1, 2], [1, 2]])).item() == 0.0, "not across minibatches"
    assert duplicate_share(torch.tensor([[3, 3], [1, 2]])).item() == 0.25


def test_what_is_told_of_a_sample() -> None:
    ring = ring_of(SCRIPTS, 5, keeps=8)
    found = read(
        replay_diagnostics(Given(ring), iteration(ring, [[0, 1, 2], [2, 2, 6]]), torch.zeros(2, 3))
    )
    assert found == {
        "replay/fill": 5 / 8,
        "replay/ratio": 0.5,
        "replay/age_mean": pytest.approx((8 + 8 + 6 + 6 + 6 + 2) / 6),
        "replay/age_p5": 3.0,
        "replay/age_p25": 6.0,
        "replay/age_p50": 6.0,
        "replay/age_p75": 7.5,
        "replay/age_p95": 8.0,
        "replay/duplicates": pytest.approx(1 / 6),
        "replay/terminated": 0.0,
        "replay/truncated": 0.0,
        "replay/largest_reward": float(ring.read("reward", slice(0, 10)).abs().max()),
    }


def test_priorities_are_told_where_sampling_goes_by_them() -> None:
    ring = ring_of(SCRIPTS, 5)
    priority = torch.arange(6.0).view(2, 3)
    drawn = iteration(ring, [[0, 1, 2], [2, 2, 6]])
    found = read(replay_diagnostics(Given(ring, priorities=True), drawn, priority))
    assert found["replay/priority_p50"] == 2.5
    assert found["replay/priority_p95"] == 4.75
    without = replay_diagnostics(Given(ring), drawn, priority)
    assert not any("priority" in name for name in without)


def test_large_iterations_are_told_by_their_newest_minibatches() -> None:
    ring = ring_of(SCRIPTS, 5)
    cells = [[0, 0]] * 88 + [[8, 9]] * 512
    priority = torch.cat([torch.full((88, 2), 9.0), torch.ones(512, 2)])
    found = read(replay_diagnostics(Given(ring, priorities=True), iteration(ring, cells), priority))
    assert (found["replay/age_mean"], found["replay/duplicates"]) == (0.0, 0.0)
    assert found["replay/priority_p95"] == 1.0
    one = [[0] * 1_100, [0, 1] * 550]
    told = read(replay_diagnostics(Given(ring), iteration(ring, one), torch.zeros(2, 1_100)))
    assert told["replay/duplicates"] == pytest.approx(1_098 / 1_100), "one minibatch at least"


def test_without_replay_nothing_is_told() -> None:
    ring = ring_of(SCRIPTS, 5)
    drawn = iteration(ring, [[0, 1]])
    assert replay_diagnostics(Given(ring, replays=False), drawn, torch.zeros(1, 2)) == {}


def test_a_sampler_that_reads_the_ring_otherwise_has_no_ages() -> None:
    ring = ring_of(SCRIPTS, 5)
    drawn = iteration(ring, [[0, 1, 2, 3, 4]])
    ring.newest_read = torch.tensor([0])
    assert read(replay_diagnostics(Given(ring), drawn, torch.zeros(1, 5))).keys() == {
        "replay/fill",
        "replay/ratio",
        "replay/terminated",
        "replay/truncated",
        "replay/largest_reward",
    }


def test_ends_and_rewards_are_those_of_the_rows_stored() -> None:
    ring = ring_of([episodes(3, 3), episodes(100)], 8)
    found = read(replay_diagnostics(Given(ring), iteration(ring, [[0, 1]]), torch.zeros(1, 2)))
    column = {name: ring.read(name, slice(0, 16)) for name in ("terminated", "truncated")}
    assert column["terminated"].any() or column["truncated"].any()
    for name, values in column.items():
        assert found[f"replay/{name}"] == pytest.approx(values.float().mean().item())


def test_rewards_are_told_as_they_are_learned_from() -> None:
    ring = ring_of(SCRIPTS, 5)
    ring.config = replace(ring.config, reward_clip=0.5)
    found = read(replay_diagnostics(Given(ring), iteration(ring, [[0, 1]]), torch.zeros(1, 2)))
    assert found["replay/largest_reward"] == 0.5


def test_priorities_that_follow_what_came_back_are_fresh_to_whatever_power() -> None:
    cells, priority = torch.tensor([4, 7, 9, 2]), torch.tensor([0.5, -3.0, 2.0, 0.0])
    for alpha in (0.0, 0.6, 1.0):
        stored = (priority.abs() + 1e-6).pow(alpha)
        assert stale_share(cells, stored, priority) == 0.0
    backwards = 1 / (priority.abs() + 1)
    assert stale_share(cells, backwards, priority) == 1.0


def test_of_a_transition_drawn_again_the_largest_priority_counts() -> None:
    cells, priority = torch.tensor([4, 4, 9]), torch.tensor([0.1, 3.0, 2.0])
    assert stale_share(cells, torch.tensor([3.0, 3.0, 2.0]), priority) == 0.0
    assert stale_share(cells, torch.tensor([0.1, 0.1, 2.0]), priority) == 1.0
