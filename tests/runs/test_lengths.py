"""How long a run is, for schedules over all of it, and as a budget of env steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.short_fits import OnBatch
from support.short_runs import small_config

from lightning_dqn.replay.samplers.uniform import UniformSampling
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.compose import compose
from lightning_dqn.runs.experiment import build_trainer, prepare
from lightning_dqn.runs.lengths import spread_budget, total_env_steps, total_iterations
from lightning_dqn.runs.run import run

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


def test_total_env_steps_are_the_warm_up_and_all_epochs(tmp_path: Path) -> None:
    config = small_config(tmp_path, "trainer.max_epochs=3")
    assert total_env_steps(config) == 64 + 3 * 100


def test_schedules_over_the_whole_run_get_its_length(tmp_path: Path) -> None:
    overrides = ("data/sampler=prioritized", "module/lr_scheduler=cosine", "trainer.max_epochs=3")
    config = small_config(tmp_path, *overrides)
    assert config.data.sampler.beta.duration == 64 + 300
    assert config.module.lr_scheduler.T_max == 3 * 2
    assert prepare(config).data.sampling.beta.duration == 364


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


@pytest.mark.parametrize(
    ("env_steps", "per_epoch", "epochs", "expected"),
    [
        ("1e6", 5_000, 200, 4_995),  # of which 1,000 are the warm-up's
        ("51_000", 5_000, 10, 5_000),
        ("6_000", 5_000, 1, 5_000),
        ("3_000", 5_000, 1, 2_000),
        ("20_000", 5_000, 4, 4_750),
    ],
)
def test_a_budget_is_spread_over_epochs_of_about_their_length(
    env_steps: str, per_epoch: int, epochs: int, expected: int
) -> None:
    config = compose([f"env_steps={env_steps}", f"data.env_steps_per_epoch={per_epoch}"])
    spread_budget(config)
    assert (config.trainer.max_epochs, config.data.env_steps_per_epoch) == (epochs, expected)
    assert total_env_steps(config) == pytest.approx(float(env_steps), abs=epochs)


def test_a_run_takes_its_budget(tmp_path: Path) -> None:
    config = small_config(tmp_path, "env_steps=500", "data.env_steps_per_iteration=16")
    summary = run(prepare(config))
    assert 500 <= summary.env_steps < 500 + 4 * 16
    assert config.trainer.max_epochs == 4


def test_without_a_budget_the_epochs_are_as_they_are() -> None:
    config = compose([])
    spread_budget(config)
    assert (config.trainer.max_epochs, config.data.env_steps_per_epoch) == (10, 5_000)


@pytest.mark.parametrize(
    ("env_steps", "message"),
    [
        ("0", "env_steps=0: expected a whole number from 1, or null"),
        ("1.5", "env_steps=1.5: expected a whole number"),
        ("many", "env_steps='many': expected a whole number"),
        ("true", "env_steps=True: expected a whole number"),
        ("1000", "env_steps=1000: the warm-up takes them all; lower data.collection.warmup"),
    ],
)
def test_what_is_no_budget_is_refused(env_steps: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        spread_budget(compose([f"env_steps={env_steps}"]))
    assert str(refused.value).startswith(message)
