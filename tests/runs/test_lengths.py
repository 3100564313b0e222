"""How long a run is, for schedules over all of it, and as a budget of env steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.short_fits import OnBatch
from support.short_runs import small_config

from lightning_dqn.collecting.source import CollectionConfig
from lightning_dqn.learning.run_length import iterations_of
from lightning_dqn.replay.samplers.uniform import UniformSampling
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.experiment import build_trainer, prepare
from lightning_dqn.runs.lengths import pace_of, total_env_steps, total_iterations

SAMPLERS: dict[str, tuple[list[str], int]] = {
    # ceil(100 / 30) iterations of at least 30 env steps
    "uniform": (["data.env_steps_per_iteration=30"], 2 * 4),
    # a rollout of 5 steps in each of 8 environments: ceil(100 / 40)
    "lambda_returns": (
        [
            "data.sampler.rollout_length=5",
            "data.sampler.minibatches=2",
            "module.target.double=false",
        ],
        2 * 3,
    ),
    # a step in each of 8 environments: ceil(100 / 8)
    "online": ([], 2 * 13),
}


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_total_iterations_are_those_that_a_run_makes(sampler: str, tmp_path: Path) -> None:
    overrides, expected = SAMPLERS[sampler]
    config = small_config(tmp_path, f"data/sampler={sampler}", *overrides, "~logger.csv")
    assert total_iterations(config) == expected
    experiment = prepare(config)
    trainer, made = build_trainer(config), []
    trainer.callbacks.append(OnBatch(after=lambda data, batch: made.append(batch.env_steps)))
    trainer.fit(experiment.module, experiment.data)
    assert len(made) == expected


def test_total_iterations_follow_the_hint_of_an_experiment(tmp_path: Path) -> None:
    config = small_config(tmp_path, "data/sampler=lambda_returns", "hints.rollout_length=2")
    assert total_iterations(config) == 2 * -(-100 // 16)


def test_total_env_steps_are_those_that_a_fit_takes(tmp_path: Path) -> None:
    """The warm-up's and all epochs', which are whole iterations."""
    config = small_config(tmp_path, "trainer.max_epochs=3")
    total = 64 + 3 * 2 * 64
    assert total_env_steps(config) == total
    experiment = prepare(config)
    experiment.trainer.fit(experiment.module, experiment.data)
    assert total <= experiment.module.env_steps < total + config.environment.num_envs


def test_total_env_steps_have_the_warm_up_that_the_sampler_needs(tmp_path: Path) -> None:
    no_warmup = "data.collection.warmup_env_steps=0"
    config = small_config(tmp_path, no_warmup, "environment.num_envs=4", "trainer.max_epochs=3")
    assert total_env_steps(config) == 2 * 4 + 3 * 2 * 64


@pytest.mark.parametrize(("most", "iterations"), [(19, 19), (20, 20), (21, 20)])
def test_a_run_that_is_cut_is_never_longer_than_the_uncut_one(
    most: int, iterations: int, tmp_path: Path
) -> None:
    limits = ("trainer.max_epochs=10", f"+trainer.max_steps={most}")
    assert total_env_steps(small_config(tmp_path, *limits)) == 64 + iterations * 64


def test_schedules_over_the_whole_run_get_its_length(tmp_path: Path) -> None:
    overrides = ("data/sampler=prioritized", "module/lr_scheduler=cosine", "trainer.max_epochs=3")
    config = small_config(tmp_path, *overrides)
    assert config.data.sampler.beta.duration == 64 + 3 * 2 * 64
    assert config.module.lr_scheduler.T_max == 3 * 2
    assert prepare(config).data.sampling.beta.duration == 64 + 3 * 2 * 64


@pytest.mark.parametrize("total", [total_env_steps, total_iterations])
@pytest.mark.parametrize("epochs", ["-1", "null"])
def test_a_run_without_an_end_has_no_schedule_over_all_of_it(
    total: Any, epochs: str, tmp_path: Path
) -> None:
    config = small_config(tmp_path, f"trainer.max_epochs={epochs}")
    shown = {"null": "None"}.get(epochs, epochs)
    with pytest.raises(ConfigError, match=rf"^trainer\.max_epochs={shown}: a schedule over the"):
        total(config)


def test_a_sampler_of_null_is_uniform_replay_for_schedules_too(tmp_path: Path) -> None:
    config = small_config(tmp_path, "data.sampler=null", "module/lr_scheduler=linear")
    experiment = prepare(config)
    assert experiment.data.sampling == UniformSampling()
    assert config.module.lr_scheduler.total_iters == total_iterations(config)


def test_a_warm_up_that_is_not_named_is_the_collections_own(tmp_path: Path) -> None:
    config = small_config(tmp_path, "~data.collection.warmup_env_steps", "trainer.max_epochs=3")
    default = CollectionConfig().warmup_env_steps
    assert default > 0
    assert total_env_steps(config) == default + 3 * 2 * 64
    assert pace_of(config).warmup_env_steps == default


@pytest.mark.parametrize(
    ("limits", "iterations"),
    [
        (["+trainer.max_steps=3"], 3),
        (["+trainer.max_steps=3", "trainer.max_epochs=-1"], 3),
        (["+trainer.max_steps=300"], 2 * 4),
        (["+trainer.limit_train_batches=3"], 2 * 3),
        (["+trainer.limit_train_batches=0.5"], 2 * 2),
        (["+trainer.limit_train_batches=1.0"], 2 * 4),
    ],
)
def test_schedules_over_the_whole_run_end_where_a_limit_ends_it(
    limits: list[str], iterations: int, tmp_path: Path
) -> None:
    config = small_config(tmp_path, "data.env_steps_per_iteration=30", "~logger.csv", *limits)
    assert total_iterations(config) == iterations
    assert total_env_steps(config) == 64 + iterations * 30
    trainer = prepare(config).trainer
    assert iterations_of(trainer, 4) == iterations


def test_a_samplers_own_schedule_follows_a_limit_too(tmp_path: Path) -> None:
    limits = ("+trainer.max_steps=3", "trainer.max_epochs=-1")
    config = small_config(tmp_path, "data/sampler=prioritized", "~logger.csv", *limits)
    assert prepare(config).data.sampling.beta.duration == 64 + 3 * 64
