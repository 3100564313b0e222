"""A budget of env steps becomes epochs, at first and where a run goes on with another one."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import LambdaCallback
from support.short_fits import OnBatch
from support.short_runs import small_config

from lightning_dqn.learning.run_length import env_steps_at_end_of_fit
from lightning_dqn.runs import budget
from lightning_dqn.runs.budget import (
    BUDGET,
    Progress,
    progress_of,
    refuse_epochs,
    spread_budget,
)
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.check import check_lengths
from lightning_dqn.runs.compose import Composer, compose
from lightning_dqn.runs.experiment import build_trainer, prepare
from lightning_dqn.runs.hydra_jobs import Job
from lightning_dqn.runs.jobs_check import check_jobs
from lightning_dqn.runs.lengths import pace_of, total_env_steps, total_iterations
from lightning_dqn.runs.opening import opening_line
from lightning_dqn.runs.resume import CHECKPOINT
from lightning_dqn.runs.run import Summary, run


@pytest.mark.parametrize(
    ("env_steps", "per_epoch", "epochs", "expected"),
    [
        # 15,610 iterations of 64 after the warm-up of 1,000: 200 epochs of 79 are 1.2 % too many.
        ("1e6", 5_000, 201, 78 * 64),
        ("6_000", 5_000, 1, 79 * 64),
        ("3_000", 5_000, 1, 32 * 64),
        # 297 iterations: 3 times 99; 4 times 75 and 5 times 60 are 1.01 % too many.
        ("20_000", 5_000, 3, 99 * 64),
    ],
)
def test_a_budget_is_spread_over_epochs_of_about_their_length(
    env_steps: str, per_epoch: int, epochs: int, expected: int
) -> None:
    config = compose([f"env_steps={env_steps}", f"data.env_steps_per_epoch={per_epoch}"])
    spread_budget(config)
    assert (config.trainer.max_epochs, config.data.env_steps_per_epoch) == (epochs, expected)


@pytest.mark.parametrize("num_envs", [8, 64, 128, 500])
@pytest.mark.parametrize("env_steps", [20_000, 100_000, 1_000_000])
@pytest.mark.parametrize("algorithm", ["pqn", "dqn"])
def test_a_budget_is_kept_whatever_an_iteration_is(
    algorithm: str, env_steps: int, num_envs: int
) -> None:
    """Of PQN an iteration is a rollout of 32 steps of all environments, three epochs' worth."""
    config = compose(
        [f"algorithm={algorithm}", f"environment.num_envs={num_envs}", f"env_steps={env_steps}"]
    )
    spread_budget(config)
    pace = pace_of(config)
    total = pace.warmup_env_steps + total_iterations(config) * pace.env_steps_per_iteration
    assert env_steps <= total < 1.01 * env_steps + pace.env_steps_per_iteration
    assert pace.warmup_env_steps == (2 * num_envs if algorithm == "pqn" else 1_000)


def test_epochs_asked_for_beside_a_budget_are_refused(tmp_path: Path) -> None:
    def check(*arguments: str, asked: Sequence[str] | None = None) -> None:
        def goes_on(job: Job) -> bool:
            if asked is not None:
                refuse_epochs(asked, job.config)
            return asked is not None

        place = f"hydra.run.dir={tmp_path / 'run'}"
        with Composer([place, "trainer=cpu", *arguments]) as composer:
            check_jobs(composer, goes_on)

    with pytest.raises(ConfigError) as refused:
        check("env_steps=9_000", "trainer.max_epochs=20")
    assert str(refused.value) == (
        "trainer.max_epochs=20: the run is as long as env_steps=9000 says; set that to another "
        "number, or to null, for epochs of data.env_steps_per_epoch"
    )
    check("env_steps=null", "trainer.max_epochs=20")
    check("trainer.max_epochs=20", "env_steps=9_000", asked=["env_steps=9_000"])
    with pytest.raises(ConfigError, match=r"^trainer\.max_epochs=30: the run is as long"):
        check("env_steps=9_000", "trainer.max_epochs=30", asked=["trainer.max_epochs=30"])


@pytest.mark.parametrize("debug", ["fast", "overfit", "profile"])
def test_what_looks_for_faults_has_its_own_length(debug: str) -> None:
    config = compose(["+experiment=pong", f"+debug={debug}"])
    spread_budget(config)
    assert config.trainer.max_epochs <= 2


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


@pytest.mark.parametrize(("per_epoch", "epochs"), [(20, 0), (50, 3), (79, 1)])
def test_a_run_stopped_in_the_midst_of_an_epoch_takes_another_budget_and_no_more(
    per_epoch: int, epochs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The epoch that has begun is as long as those after it, and has what is over of it by now."""
    config = compose([f"run_dir={tmp_path}", "ckpt_path=last.ckpt"])
    for begun, more in product(range(per_epoch), (1, 10, 30, 60, 150)):
        at = 1_000 + 64 * (per_epoch * epochs + begun)
        progress = Progress(epochs, begun, per_epoch * epochs + begun, at, begun or per_epoch)
        monkeypatch.setattr(budget, "progress_of", lambda _, progress=progress: progress)
        config.env_steps, config.data.env_steps_per_epoch = at + 64 * more, 64 * per_epoch
        spread_budget(config)
        length = config.data.env_steps_per_epoch // 64
        assert length > begun
        made = (config.trainer.max_epochs - epochs) * length - begun
        assert more <= made <= more + (more + begun) // 100, (begun, more)


# A run that goes on

into_the_same_folder = pytest.mark.filterwarnings("ignore:Checkpoint directory .* is not empty")
PER_ITERATION = 16
NUM_ENVS = 8


def config_of(folder: Path, env_steps: int, *overrides: str, goes_on: bool = False) -> DictConfig:
    """Return a run of a warm-up of 64 env steps and epochs of about 100."""
    config = small_config(
        folder,
        f"env_steps={env_steps}",
        f"data.env_steps_per_iteration={PER_ITERATION}",
        "data.batch_size=16",
        "test=false",
        *overrides,
    )
    if goes_on:
        config.ckpt_path = str(folder / CHECKPOINT)
    return config


def made(config: DictConfig) -> Summary:
    summary = run(prepare(config))
    assert isinstance(summary, Summary)
    return summary


def lengths(config: DictConfig) -> tuple[int, int]:
    return config.trainer.max_epochs, config.data.env_steps_per_epoch


@into_the_same_folder
@pytest.mark.parametrize("more", [150, 190, 1_000])
@pytest.mark.parametrize("warmup", [64, 20])
def test_a_run_that_is_over_goes_on_to_a_larger_budget(
    tmp_path: Path, more: int, warmup: int
) -> None:
    """More than the first of 100 env steps, in epochs that would still be one, and in several."""
    warm = f"data.collection.warmup_env_steps={warmup}"
    first = made(config_of(tmp_path, 100, warm))
    assert 100 <= first.env_steps < 100 + 2 * PER_ITERATION
    config = config_of(tmp_path, more, warm, goes_on=True)
    second = made(config)
    assert more - NUM_ENVS < second.env_steps < 1.01 * more + 2 * PER_ITERATION
    assert second.updates > first.updates
    assert total_env_steps(config) == more


@into_the_same_folder
def test_a_run_goes_on_by_the_epochs_that_it_began_with(tmp_path: Path) -> None:
    """Also by those of a budget that was another one at first, whatever was learned since."""
    config = config_of(tmp_path, 100)
    made(config)
    again = config_of(tmp_path, 100, goes_on=True)
    spread_budget(again)
    assert lengths(again) == lengths(config) == (1, 3 * PER_ITERATION)
    longer = config_of(tmp_path, 450, goes_on=True)
    made(longer)
    again = config_of(tmp_path, 450, goes_on=True)
    spread_budget(again)
    assert lengths(again) == lengths(longer) != lengths(config)


@into_the_same_folder
@pytest.mark.filterwarnings("ignore:.*could not find the monitored key")
@pytest.mark.parametrize("cut", [3, 7, 9], ids=["in the first", "at its end", "in the second"])
def test_an_epoch_that_a_limit_cut_short_is_made_up_for(tmp_path: Path, cut: int) -> None:
    """Lightning counts it as over, as where ``max_time`` ends a fit."""
    env_steps = 64 + 3 * 7 * PER_ITERATION
    first = made(config_of(tmp_path, env_steps, f"+trainer.max_steps={cut}"))
    assert first.env_steps < env_steps / 2 + 2 * PER_ITERATION
    last = made(config_of(tmp_path, env_steps, goes_on=True))
    assert env_steps <= last.env_steps < env_steps + 2 * PER_ITERATION
    again = config_of(tmp_path, env_steps, goes_on=True)
    assert made(again).env_steps == last.env_steps


@into_the_same_folder
def test_a_note_of_an_attempt_from_another_checkpoint_says_nothing(tmp_path: Path) -> None:
    """One that ended before its first checkpoint leaves it where another run may begin."""
    made(config_of(tmp_path / "other", 200))
    stale = {"env_steps": 600, "max_epochs": 99, "env_steps_per_epoch": PER_ITERATION}
    (tmp_path / "new" / BUDGET).parent.mkdir(parents=True)
    (tmp_path / "new" / BUDGET).write_text(json.dumps(stale))
    config, fresh = (config_of(tmp_path / name, 600) for name in ("new", "fresh"))
    for one in (config, fresh):
        one.ckpt_path = str(tmp_path / "other" / CHECKPOINT)
        spread_budget(one)
    assert lengths(config) == lengths(fresh)
    assert config.trainer.max_epochs < 99


def test_the_part_of_an_epoch_that_is_learned_counts(tmp_path: Path) -> None:
    config = config_of(tmp_path, 64 + 3 * 7 * PER_ITERATION)
    experiment, trainer = prepare(config), build_trainer(config)
    saved = tmp_path / "within.ckpt"

    def save(data: Any, batch: Any) -> None:
        if trainer.global_step == 7 + 2:  # two iterations of the second epoch, of 7
            trainer.save_checkpoint(saved)

    trainer.callbacks.append(OnBatch(after=save))
    trainer.fit(experiment.module, experiment.data)
    longer = config_of(tmp_path, 500)
    longer.ckpt_path = str(saved)
    (tmp_path / BUDGET).parent.mkdir(exist_ok=True)
    (tmp_path / BUDGET).write_text(
        json.dumps({"env_steps": 400, "max_epochs": 3, "env_steps_per_epoch": 7 * PER_ITERATION})
    )
    spread_budget(longer)
    progress = progress_of(saved)
    assert progress is not None
    assert (progress.epochs, progress.iterations, progress.all_iterations) == (1, 2, 9)
    left = 500 - progress.env_steps + 2 * PER_ITERATION
    assert 20 * PER_ITERATION < left <= 21 * PER_ITERATION
    assert lengths(longer) == (1 + 3, 7 * PER_ITERATION)


@into_the_same_folder
@pytest.mark.parametrize("saved_after", [9, 14])
@pytest.mark.parametrize(
    ("env_steps", "limits"),
    [
        (800, {}),
        (800, {"max_steps": 20}),
        (800, {"max_steps": 20, "max_epochs": -1}),
        (None, {"max_epochs": 5}),
    ],
)
def test_it_is_told_from_the_first_to_the_last_how_long_a_run_that_goes_on_is(
    tmp_path: Path, env_steps: int | None, limits: dict[str, int], saved_after: int
) -> None:
    """Saved in the midst or at the end of the second epoch of 7 iterations, with others to come."""
    config = config_of(tmp_path, 64 + 3 * 7 * PER_ITERATION)
    experiment, saved = prepare(config), tmp_path / "within.ckpt"

    def save(*_: Any) -> None:
        if experiment.trainer.global_step == saved_after:
            experiment.trainer.save_checkpoint(saved)

    if saved_after % 7:
        add(experiment.trainer, OnBatch(after=save))
    else:
        add(experiment.trainer, LambdaCallback(on_train_epoch_end=save))
    experiment.trainer.fit(experiment.module, experiment.data)
    longer = config_of(tmp_path, env_steps or 0, "data.env_steps_per_epoch=60")
    longer.ckpt_path, longer.env_steps = str(saved), env_steps
    spread_budget(longer)
    longer.env_steps = None
    for name, limit in limits.items():
        OmegaConf.update(longer.trainer, name, limit, force_add=True)
    experiment = prepare(longer)
    trainer, module, data = experiment.trainer, experiment.module, experiment.data
    totals = []

    def look(_: Any, batch: Any) -> None:
        totals.append(env_steps_at_end_of_fit(trainer, data.pace, module.env_steps))

    add(trainer, OnBatch(after=look))
    [told] = re.findall(r", ([\d,]+) env steps, ", opening_line(experiment, tmp_path))
    trainer.fit(module, data, ckpt_path=saved)
    assert totals[-1] == module.env_steps
    # An iteration is as many env steps as are asked for but for a part of a step of all.
    assert all(
        abs(total - module.env_steps) < NUM_ENVS for total in (*totals, int(told.replace(",", "")))
    )


def add(trainer: Any, callback: Callback) -> None:
    trainer.callbacks.append(callback)


@pytest.mark.parametrize(
    "overrides", [["data.collection.warmup_env_steps=60_000"], ["env_steps=1_500"]]
)
def test_a_warm_up_may_be_longer_than_what_is_learned_after_it(overrides: list[str]) -> None:
    config = compose(overrides)
    spread_budget(config)
    check_lengths(config)


def test_a_budget_that_is_used_up_is_refused(tmp_path: Path) -> None:
    made(config_of(tmp_path, 200))
    with pytest.raises(ConfigError, match=r"^env_steps=150: the run has made 2\d\d already; name"):
        spread_budget(config_of(tmp_path, 150, goes_on=True))


def test_a_run_that_was_not_noted_and_is_over_is_over(tmp_path: Path) -> None:
    config = config_of(tmp_path, 200)
    made(config)
    (tmp_path / BUDGET).unlink()
    again = config_of(tmp_path, 200, goes_on=True)
    spread_budget(again)
    assert lengths(again) == lengths(config)


@pytest.mark.parametrize("content", ["[]", "{", '{"env_steps": 1}', '{"env_steps": "many"}'])
def test_a_note_of_the_budget_that_is_none_is_named(tmp_path: Path, content: str) -> None:
    made(config_of(tmp_path, 200))
    (tmp_path / BUDGET).write_text(content)
    with pytest.raises(ConfigError, match=r"budget\.json: not what a run writes \(.*\); delete it"):
        spread_budget(config_of(tmp_path, 300, goes_on=True))


def test_what_is_shown_at_the_end_names_the_key_that_makes_a_run_longer(tmp_path: Path) -> None:
    assert "env_steps=N" in str(made(config_of(tmp_path, 100)))
