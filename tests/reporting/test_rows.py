"""The rows of metrics, number for number."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import pytest
import torch

from lightning_dqn.reporting.rows import (
    ROLLOUT_WINDOW_EPISODES,
    Report,
)
from lightning_dqn.transitions import Episode, Iteration, Transitions

# Loss, Q-value, TD error and gradient norm of two updates.
STATISTICS = torch.tensor([[1.0, 10.0, 0.5, 3.0], [2.0, 20.0, 1.5, 5.0]])


class Clock:
    """Tells the time that it is set to."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    clock = Clock()
    with monkeypatch.context() as patch:
        patch.setattr(time, "perf_counter", clock)
        yield clock


def iteration(epsilon: float = 0.25) -> Iteration:
    nothing = torch.zeros(2, 1)
    transitions = Transitions(nothing, nothing, nothing, nothing, None, None)
    return Iteration(transitions, env_steps=40, new_env_steps=8, epsilon=epsilon, episodes=[])


# --- training


def test_a_training_row_by_hand(clock: Clock) -> None:
    report = Report()
    report.start_clock(env_steps=10, updates=4)
    report.count_rollout([Episode(5.0, 7), Episode(8.0, 10)])
    clock.seconds += 4.0
    row = report.training_row(STATISTICS, iteration(), env_steps=40, updates=6)
    assert row == {
        "train/loss": 1.5,
        "train/q_value": 15.0,
        "train/td_error": 1.0,
        "train/gradient_norm": 4.0,
        "train/updates": 6,
        "rollout/epsilon": 0.25,
        "rollout/episode_return": 6.5,
        "rollout/episode_length": 8.5,
        "rollout/new_episode_return": 6.5,
        "time/env_steps_per_second": 30 / 4,
        "time/updates_per_second": 2 / 4,
    }


def test_speeds_are_those_since_the_row_before(clock: Clock) -> None:
    report = Report()
    report.start_clock(env_steps=0, updates=0)
    clock.seconds += 1000.0
    report.training_row(STATISTICS, iteration(), env_steps=40, updates=6)
    clock.seconds += 2.0
    row = report.training_row(STATISTICS, iteration(), env_steps=50, updates=7)
    assert row["time/env_steps_per_second"] == 5.0
    assert row["time/updates_per_second"] == 0.5


def test_a_continued_run_counts_its_own_steps_as_its_speed(clock: Clock) -> None:
    report = Report()
    report.start_clock(env_steps=1_000_000, updates=500_000)
    clock.seconds += 1.0
    row = report.training_row(STATISTICS, iteration(), env_steps=1_000_030, updates=500_002)
    assert row["time/env_steps_per_second"] == 30.0
    assert row["time/updates_per_second"] == 2.0


@pytest.mark.parametrize("number", [0, 3])
def test_restarts_of_workers_are_told_where_there_are_workers(clock: Clock, number: int) -> None:
    report = Report()
    clock.seconds += 1.0
    row = report.training_row(
        STATISTICS, iteration()._replace(worker_restarts=number), env_steps=40, updates=6
    )
    assert row["rollout/worker_restarts"] == number


def test_before_the_first_episode_ends_nothing_is_told_of_episodes(clock: Clock) -> None:
    report = Report()
    report.count_rollout([])
    clock.seconds += 1.0
    row = report.training_row(STATISTICS, iteration(), env_steps=40, updates=6)
    assert not any(key.startswith("rollout/episode") for key in row)
    assert row["rollout/epsilon"] == 0.25


def test_what_just_ended_is_told_once(clock: Clock) -> None:
    report = Report()
    told = []
    for returns in ([2.0, 4.0], [], [10.0], [-1.0, 0.0]):
        report.count_rollout([Episode(one, 3) for one in returns])
        if returns == [10.0]:
            continue  # no row was wanted then
        clock.seconds += 1.0
        row = report.training_row(STATISTICS, iteration(), env_steps=40, updates=6)
        told.append((row.get("rollout/new_episode_return"), row["rollout/episode_return"]))
    assert told == [(3.0, 3.0), (None, 3.0), (3.0, 3.0)]


def test_what_ended_since_the_last_row_is_not_lost_with_a_restart(clock: Clock) -> None:
    report, resumed = Report(), Report()
    report.count_rollout([Episode(2.0, 3)])
    resumed.begin(40, 6)
    resumed.load_continuation(report.continuation(40))
    resumed.count_rollout([Episode(6.0, 3)])
    clock.seconds += 1.0
    row = resumed.training_row(STATISTICS, iteration(), env_steps=40, updates=6)
    assert row["rollout/new_episode_return"] == 4.0


def test_training_episodes_count_in_a_window(clock: Clock) -> None:
    report = Report()
    report.count_rollout([Episode(1e6, 1_000)] * 3)
    report.count_rollout([Episode(2.0, 4)] * ROLLOUT_WINDOW_EPISODES)
    clock.seconds += 1.0
    row = report.training_row(STATISTICS, iteration(), env_steps=40, updates=6)
    assert (row["rollout/episode_return"], row["rollout/episode_length"]) == (2.0, 4.0)


def test_the_newest_training_episodes_are_saved_with_the_learner() -> None:
    report, loaded = Report(), Report()
    report.count_rollout([Episode(5.0, 7), Episode(8.0, 10)])
    loaded.load_state_dict(report.state_dict())
    loaded.count_rollout([])
    assert loaded.rollout_return.compute().item() == 6.5
    assert loaded.rollout_length.compute().item() == 8.5
    assert list(report.parameters()) == []


# --- evaluation


@pytest.mark.parametrize("stage", ["eval", "test"])
def test_an_evaluation_row_by_hand(stage: str) -> None:
    report = Report()
    for episode in (Episode(1.0, 10), Episode(3.0, 20), Episode(8.0, 60)):
        report.count_evaluation(episode)
    row = report.evaluation_row(stage)
    # the mean is 4; the squares of the distances are 9, 1 and 16
    assert row.pop(f"{stage}/episode_return_std") == pytest.approx(math.sqrt(26 / 3))
    assert row == {
        f"{stage}/episode_return": 4.0,
        f"{stage}/episode_length": 30.0,
        f"{stage}/episodes": 3,
        f"{stage}/episodes_cut": 0,
    }


def test_returns_of_wrappers_stand_beside_the_environments_own() -> None:
    report = Report()
    for own in (1.0, 5.0):
        report.count_evaluation(Episode(own, 3, wrapped_return=own / 10))
    report.count_rollout([Episode(4.0, 3, wrapped_return=0.5)])
    row = report.evaluation_row("test")
    assert (row["test/episode_return"], row["test/wrapped_return"]) == (3.0, pytest.approx(0.3))
    row = report.training_row(STATISTICS, iteration(), env_steps=1, updates=1)
    assert (row["rollout/episode_return"], row["rollout/wrapped_return"]) == (4.0, 0.5)
    report.start_evaluation()
    report.count_evaluation(Episode(1.0, 1))
    assert "eval/wrapped_return" not in report.evaluation_row("eval")


def test_episodes_that_were_cut_are_counted_and_told_once() -> None:
    report = Report()
    report.count_evaluation(Episode(1.0, 5))
    assert report.warning_of_cuts() is None
    for length in (900, 700):
        report.count_evaluation(Episode(1.0, length, is_cut=True))
    assert report.evaluation_row("eval")["eval/episodes_cut"] == 2
    text = report.warning_of_cuts()
    assert text is not None
    assert text.startswith("2 of 3 evaluation episodes were cut after 700 env steps")
    assert report.warning_of_cuts() is None
    report.start_evaluation()
    report.count_evaluation(Episode(1.0, 5))
    assert report.evaluation_row("eval")["eval/episodes_cut"] == 0


def test_an_evaluation_without_an_episode_has_no_row() -> None:
    assert Report().evaluation_row("eval") == {}


def test_each_evaluation_counts_its_own_episodes_and_no_training_ones() -> None:
    report = Report()
    report.count_rollout([Episode(100.0, 1)])
    report.count_evaluation(Episode(1.0, 10))
    report.start_evaluation()
    assert report.evaluation_row("eval") == {}
    report.count_evaluation(Episode(3.0, 20))
    row = report.evaluation_row("eval")
    assert (row["eval/episode_return"], row["eval/episode_length"]) == (3.0, 20.0)
    assert (row["eval/episodes"], row["eval/episode_return_std"]) == (1, 0.0)
    assert report.rollout_return.compute().item() == 100.0, "these stay"
