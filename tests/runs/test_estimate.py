"""Memory, disk and time of a whole run are counted up from a trial by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from support.short_runs import small_config

from lightning_dqn.collecting.evaluation import STEPS_WITHOUT_A_LIMIT
from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.replay.storage import ring_bytes
from lightning_dqn.runs.estimate import (
    estimate,
    in_two_units,
    longest_episode,
    minibatch_bytes,
    times_of,
)
from lightning_dqn.runs.experiment import Experiment, prepare
from lightning_dqn.runs.trial import Trial
from lightning_dqn.system.memory import format_bytes

TRIAL = Trial(
    collecting=[0.01, 0.02, 0.03],
    learning=[0.08, 0.08, 0.5],
    warmup_env_steps=100,
    warmup_seconds=0.5,
    peak_bytes=400_000_000,
    rows=100,
    checkpoint_bytes=50_000,
    network_bytes=12_000,
)


AN_EPOCH = 2
"""Iterations of a small run's epoch."""


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    return prepare(small_config(tmp_path))


def test_times_are_counts_times_medians(experiment: Experiment) -> None:
    data, epochs = experiment.data, experiment.trainer.max_epochs
    times = times_of(experiment, TRIAL, 20.0)
    assert times.warmup == pytest.approx(data.pace.warmup_env_steps / 200)
    assert times.training == pytest.approx(epochs * data.iterations_per_epoch * 0.1)
    episodes = data.evaluation.num_envs * (
        epochs * data.evaluation.episodes_per_env
        + experiment.config.test * data.evaluation.test_episodes_per_env
    )
    per_env_step = 0.02 / data.pace.env_steps_per_iteration
    assert times.evaluation == pytest.approx(episodes * 20 * per_env_step)
    assert times.longest_evaluation == pytest.approx(episodes * 500 * per_env_step)


@pytest.mark.parametrize(
    ("overrides", "iterations", "evaluations"),
    [
        (["trainer.max_epochs=7"], 7 * AN_EPOCH, 7),
        (["trainer.max_epochs=7", "trainer.check_val_every_n_epoch=3"], 7 * AN_EPOCH, 2),
        (["trainer.max_epochs=2", "trainer.check_val_every_n_epoch=3"], 2 * AN_EPOCH, 0),
        (["trainer.max_epochs=7", f"+trainer.max_steps={2 * AN_EPOCH + 1}"], 2 * AN_EPOCH + 1, 2),
        (["trainer.max_epochs=-1", f"+trainer.max_steps={AN_EPOCH}"], AN_EPOCH, 1),
        (["callbacks.best_checkpoint=null", "+trainer.limit_val_batches=0"], 2 * AN_EPOCH, 0),
        (["trainer.max_epochs=-1"], float("inf"), 1),
    ],
)
def test_what_ends_a_run_and_skips_evaluations_counts(
    overrides: list[str], iterations: float, evaluations: int, tmp_path: Path
) -> None:
    made = prepare(small_config(tmp_path, *overrides, "test=false"))
    times, data = times_of(made, TRIAL, 20.0), made.data
    assert data.iterations_per_epoch == AN_EPOCH
    assert times.training == pytest.approx(iterations * 0.1)
    an_evaluation = data.evaluation.num_envs * data.evaluation.episodes_per_env * 20
    per_env_step = 0.02 / data.pace.env_steps_per_iteration
    assert times.evaluation == pytest.approx(evaluations * an_evaluation * per_env_step)


def test_episodes_without_an_end_count_as_long_as_they_may_be(experiment: Experiment) -> None:
    times = times_of(experiment, TRIAL, None)
    assert times.evaluation == times.longest_evaluation


def test_episodes_end_where_those_of_evaluations_environment_do(tmp_path: Path) -> None:
    kwargs = "{max_episode_steps: 900}"
    longer = f"{{_target_: lightning_dqn.EnvironmentFactory, id: CartPole-v1, kwargs: {kwargs}}}"
    made = prepare(small_config(tmp_path, f"data.evaluation.environment={longer}"))
    by_training = times_of(prepare(small_config(tmp_path)), TRIAL, None)
    assert times_of(made, TRIAL, None).evaluation == pytest.approx(
        by_training.evaluation * 900 / 500
    )


@pytest.mark.parametrize("episodes", [0, 2])
def test_episodes_that_nothing_ends_take_time_only_if_there_are_any(
    tmp_path: Path, episodes: int
) -> None:
    overrides = [
        "environment.id=lightning_dqn/Torus-v0",
        "data.evaluation.max_episode_steps=null",
        "callbacks.best_checkpoint=null",
        f"+trainer.limit_val_batches={min(episodes, 1)}",
        f"test={bool(episodes)}",
    ]
    times = times_of(prepare(small_config(tmp_path, *overrides)), TRIAL, None)
    assert times.longest_evaluation == (math.inf if episodes else 0.0)


@pytest.mark.parametrize(
    ("environment", "cut", "steps"),
    [
        ("CartPole-v1", "auto", 500),
        ("CartPole-v1", 100, 100),
        ("CartPole-v1", 1_000, 500),
        ("CartPole-v1", None, 500),
        ("lightning_dqn/Torus-v0", "auto", STEPS_WITHOUT_A_LIMIT),
        ("lightning_dqn/Torus-v0", 50, 50),
        ("lightning_dqn/Torus-v0", None, math.inf),
    ],
)
def test_an_episode_is_at_most_as_long_as_its_limits(
    environment: str, cut: Any, steps: float
) -> None:
    assert longest_episode(EnvironmentFactory(environment), cut) == steps


def test_every_part_of_memory_and_disk_has_a_line(experiment: Experiment) -> None:
    data = experiment.data
    lines = {line.what: line.amount for line in estimate(experiment, TRIAL, 20.0)}
    ring = ring_bytes(data.environment.spec, data.environment.num_envs, data.pace.capacity)
    assert lines[f"replay ring, {data.pace.capacity:,} rows (cpu)"] == format_bytes(ring)
    assert lines["networks, gradients, optimizer"] == "12 kB"
    missing = ring * (1 - 100 / data.pace.capacity)
    peak = lines["peak of the process, ring filled"]
    assert peak == format_bytes(400_000_000 + int(missing))
    rows = ring_bytes(data.environment.spec, data.environment.num_envs, 100)
    [kept] = [amount for what, amount in lines.items() if what.startswith("checkpoints, 2 kept")]
    assert kept == format_bytes(2 * (50_000 - rows))


def test_minibatches_hold_two_observations_of_each_transition(experiment: Experiment) -> None:
    pace = experiment.data.pace
    count = pace.updates_per_iteration * pace.batch_size
    assert minibatch_bytes(experiment) == count * (2 * 4 * 4 + 32)


def test_minibatches_hold_the_steps_to_come_too(tmp_path: Path) -> None:
    experiment = prepare(small_config(tmp_path, "data.replay.sequence_length=5"))
    pace = experiment.data.pace
    count = pace.updates_per_iteration * pace.batch_size
    assert minibatch_bytes(experiment) >= count * (2 + 5) * 4 * 4


def test_prioritised_sampling_takes_more(tmp_path: Path) -> None:
    with_priorities = prepare(small_config(tmp_path, "data/sampler=prioritized"))
    whats = [line.what for line in estimate(with_priorities, TRIAL, 20.0)]
    assert "priorities beside it" in whats


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.25, "0.2 s"),
        (59.0, "59.0 s"),
        (90.0, "2 min"),
        (3_600.0, "1 h 0 min"),
        (7_500.0, "2 h 5 min"),
        (float("inf"), "without end"),
    ],
)
def test_a_duration_is_said_in_its_largest_units(seconds: float, text: str) -> None:
    assert in_two_units(seconds) == text
