"""What of a Trainer's options and callbacks is refused before learning begins, and what isn't."""

from __future__ import annotations

from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import (
    EarlyStopping,
    GradientAccumulationScheduler,
    LearningRateMonitor,
    ModelCheckpoint,
    StochasticWeightAveraging,
)
from support.short_fits import without_target

from lightning_dqn import DQN
from lightning_dqn.callbacks import EMATargetNetwork, Matches, UnseenStates
from lightning_dqn.learning.trainer import check_trainer


@pytest.fixture
def refusal(make_trainer: Any) -> Any:
    """A function that returns why a Trainer of these arguments is refused, None if it isn't."""

    def of(*callbacks: pl.Callback, own: bool = False, **arguments: Any) -> str | None:
        trainer = make_trainer(
            callbacks=list(callbacks),
            enable_checkpointing=any(isinstance(c, ModelCheckpoint) for c in callbacks),
            **{"limit_val_batches": 1.0, **arguments},
        )
        try:
            check_trainer(trainer, logs_own_metrics=own)
        except ValueError as error:
            return str(error)
        return None

    return of


def test_a_monitor_that_comes_is_fine(refusal):
    for key in ("eval/episode_return", "rollout/episode_return", "train/loss", "time/env_steps"):
        assert refusal(EarlyStopping(key), EMATargetNetwork(tau=0.1)) is None
        assert refusal(ModelCheckpoint(monitor=key)) is None
    assert refusal(ModelCheckpoint(), LearningRateMonitor()) is None, "none monitors anything"


@pytest.mark.parametrize("kind", [EarlyStopping, lambda key: ModelCheckpoint(monitor=key)])
@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("eval/return", "eval/episode_return"),
        ("train/los", "train/loss"),
        ("test/episode_return", "eval/episode_return"),
        ("val_loss", "train/loss"),
    ],
)
def test_a_monitor_that_nothing_logs_is_refused_with_one_that_comes(refusal, kind, key, meant):
    text = refusal(kind(key), EMATargetNetwork(tau=0.1))
    assert text is not None
    assert f"(monitor={key!r}): nothing in this run logs that" in text
    assert f"did you mean {meant}?" in text


def test_what_is_measured_by_a_callback_comes_with_it_alone(refusal):
    assert refusal(EarlyStopping("eval/mean_regret")) is not None
    assert refusal(EarlyStopping("eval/random/first/win_rate"), Matches()) is None
    assert refusal(EarlyStopping("eval/random/win_rate"), Matches()) is not None
    assert refusal(EarlyStopping("eval/unseen_states"), UnseenStates()) is None


def test_stages_that_never_come_log_nothing(refusal):
    assert refusal(EarlyStopping("eval/episode_return"), limit_val_batches=0) is not None
    assert refusal(EarlyStopping("train/loss"), log_every_n_steps=0) is not None
    assert refusal(EarlyStopping("eval/episode_return"), log_every_n_steps=0) is None


def test_what_users_parts_log_is_theirs(refusal):
    class Mine(pl.Callback):
        """May log whatever it likes."""

    assert refusal(EarlyStopping("mine/metric"), Mine()) is None
    assert refusal(EarlyStopping("mine/metric"), own=True) is None
    assert refusal(EarlyStopping("mine/metric", strict=False)) is None, "Lightning warns of it"


@pytest.mark.parametrize(
    ("callback", "remedy"),
    [
        (GradientAccumulationScheduler({0: 2}), "a larger batch_size"),
        (StochasticWeightAveraging(1e-3), "take WeightAverage from lightning_dqn.callbacks"),
    ],
)
def test_callbacks_of_automatic_optimization_are_refused(refusal, callback, remedy):
    text = refusal(callback)
    assert text is not None
    assert text.startswith(f"{type(callback).__name__}: needs Lightning's automatic optimization")
    assert remedy in text


def test_a_fit_is_refused_before_its_first_step(make_trainer, make_module, make_data):
    data = make_data()
    steps: list[int] = []
    data.after_collection.append(steps.append)
    trainer = make_trainer(callbacks=[EarlyStopping("eval/return")], limit_val_batches=1.0)
    with pytest.raises(ValueError, match="did you mean eval/episode_return"):
        trainer.fit(without_target(make_module), data)
    assert steps == []


@pytest.mark.parametrize(("total_steps", "fits"), [(5, False), (6, True)])
def test_a_cycle_that_is_over_before_the_run_is_refused(
    make_trainer, make_module, make_data, total_steps, fits
):
    def schedule(optimizer: torch.optim.Optimizer) -> Any:
        return torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=total_steps)

    module: DQN = without_target(make_module, lr_scheduler=schedule)
    trainer = make_trainer(max_epochs=2)  # of 3 iterations
    if fits:
        trainer.fit(module, make_data())
        assert module.updates == 24
    else:
        with pytest.raises(ValueError, match=r"OneCycleLR\(total_steps=5\): the run has 6 iter"):
            trainer.fit(module, make_data())
        assert module.updates == 0


@pytest.mark.parametrize("max_epochs", [None, -1, 9])
def test_a_run_whose_iterations_are_counted_ends_with_them(
    make_trainer, make_module, make_data, max_epochs
):
    def schedule(optimizer: torch.optim.Optimizer) -> Any:
        return torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=5)

    module: DQN = without_target(make_module, lr_scheduler=schedule)
    make_trainer(max_epochs=max_epochs, max_steps=5).fit(module, make_data())
    assert module.updates == 5 * 4
    with pytest.raises(ValueError, match=r"OneCycleLR\(total_steps=5\): the run has 6 iterations"):
        make_trainer(max_epochs=max_epochs, max_steps=6).fit(module, make_data())
    with pytest.raises(ValueError, match=r"OneCycleLR\(total_steps=5\): the run has no end"):
        make_trainer(max_epochs=-1).fit(module, make_data())


def on_rows(key: str = "train/loss", **arguments: Any) -> EarlyStopping:
    return EarlyStopping(key, check_on_train_epoch_end=True, **arguments)


@pytest.mark.parametrize(
    ("callback", "flags", "text"),
    [
        (on_rows(), {}, r"after 3 iterations.*=50; set Trainer\(log_every_n_steps=3\)"),
        (on_rows("rollout/epsilon"), {"log_every_n_steps": 4}, "after 3 iterations"),
        (EarlyStopping("train/loss"), {"limit_train_batches": 2}, "after 2 iterations"),
        (ModelCheckpoint(monitor="train/loss"), {}, "looks after 3 iterations"),
        (ModelCheckpoint(monitor="train/loss", every_n_epochs=2), {}, "looks after 6 iterations"),
        (
            on_rows("eval/episode_return"),
            {"check_val_every_n_epoch": 2},
            "looks at each epoch's end, and an evaluation comes after 2; leave check_on_train",
        ),
    ],
)
def test_a_metric_that_has_not_come_when_it_is_looked_at_is_refused(
    make_trainer, make_module, make_data, callback, flags, text
):
    saves = isinstance(callback, ModelCheckpoint)
    flags = {"limit_val_batches": 1, "enable_checkpointing": saves, **flags}
    with pytest.raises(ValueError, match=rf"\(monitor='.*{text}"):
        make_trainer(callbacks=[callback], **flags).fit(without_target(make_module), make_data())


@pytest.mark.parametrize("kind", [EarlyStopping, ModelCheckpoint])
def test_in_a_trial_run_nobody_looks_but_a_name_has_to_be_right(
    make_trainer, make_module, make_data, kind
):
    flags = {"fast_dev_run": True, "enable_checkpointing": kind is ModelCheckpoint}
    right, wrong = kind(monitor="train/loss"), kind(monitor="train/lss")
    module = without_target(make_module)
    make_trainer(callbacks=[right], **flags).fit(module, make_data())
    assert module.updates > 0
    with pytest.raises(ValueError, match="nothing in this run logs that"):
        make_trainer(callbacks=[wrong], **flags).fit(without_target(make_module), make_data())


@pytest.mark.parametrize(
    ("callback", "flags"),
    [
        (on_rows(), {"log_every_n_steps": 3}),
        (on_rows(strict=False), {}),
        (EarlyStopping("eval/episode_return", mode="max"), {"check_val_every_n_epoch": 2}),
        (EarlyStopping("train/loss"), {"check_val_every_n_epoch": 2, "log_every_n_steps": 6}),
        (ModelCheckpoint(monitor="train/loss", every_n_epochs=2), {"log_every_n_steps": 6}),
        (ModelCheckpoint(monitor="train/loss", every_n_train_steps=4), {"log_every_n_steps": 4}),
    ],
)
@pytest.mark.filterwarnings("ignore:Using ModelCheckpoint with manual optimization:UserWarning")
@pytest.mark.filterwarnings("ignore:Early stopping conditioned on metric:RuntimeWarning")
def test_a_metric_that_has_come_when_it_is_looked_at_is_fine(
    make_trainer, make_module, make_data, tmp_path, callback, flags
):
    saves = isinstance(callback, ModelCheckpoint)
    flags = {"limit_val_batches": 1, "enable_checkpointing": saves, "max_epochs": 4, **flags}
    trainer = make_trainer(callbacks=[callback], default_root_dir=tmp_path, **flags)
    trainer.fit(without_target(make_module), make_data())
    assert trainer.current_epoch > 0
    assert not saves or callback.best_model_path
