"""Monitors that have nothing to see yet are refused in plain words; those that have aren't."""

from __future__ import annotations

from typing import Any

import pytest
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from support.short_fits import without_target

from lightning_dqn import CollectionConfig
from lightning_dqn.callbacks import Diagnostics


@pytest.fixture
def fit(make_trainer, make_module, make_data) -> Any:
    """A function that fits with callbacks; an epoch is 24 env steps behind a warm-up of 16."""

    def run(*callbacks: Any, **data: Any) -> int:
        saves = any(isinstance(callback, ModelCheckpoint) for callback in callbacks)
        flags = {"limit_val_batches": 1, "enable_checkpointing": saves, "log_every_n_steps": 1}
        module = without_target(make_module)
        make_trainer(callbacks=list(callbacks), **flags).fit(module, make_data(**data))
        return int(module.updates)

    return run


def test_a_measurement_that_comes_after_the_first_look_is_refused_before_the_run(fit):
    stops = EarlyStopping("values/action_gap", mode="max")
    told = r"looks after 40 env steps, 24 of them .*=5,000; set Diagnostics\(every_n_env_steps=24\)"
    with pytest.raises(ValueError, match=rf"^EarlyStopping\(monitor='values/action_gap'\): {told}"):
        fit(Diagnostics(), stops)


@pytest.mark.parametrize("period", [24, 32])
def test_a_measurement_that_comes_in_time_is_monitored(fit, period):
    stops = EarlyStopping("values/action_gap", mode="max")
    assert fit(Diagnostics(every_n_env_steps=period), stops) == 12


@pytest.mark.parametrize("key", ["rollout/episode_return", "rollout/new_episode_return"])
@pytest.mark.parametrize("at_epochs_end", [True, False])
def test_a_stop_by_episodes_that_have_not_ended_tells_what_to_do(fit, key, at_epochs_end):
    stops = EarlyStopping(key, mode="max", check_on_train_epoch_end=at_epochs_end)
    told = "no training episode had ended by the newest row; pass strict=False, make epochs longer"
    with pytest.raises(ValueError, match=rf"^EarlyStopping\(monitor='{key}'\): looks .*{told}"):
        fit(stops)


def test_a_checkpoint_by_episodes_that_have_not_ended_tells_what_to_do(fit, tmp_path):
    saves = ModelCheckpoint(tmp_path, monitor="rollout/episode_return", mode="max")
    with pytest.raises(ValueError, match=r"^ModelCheckpoint\(monitor=.* row; make epochs longer"):
        fit(saves)


def test_who_need_not_see_anything_or_sees_an_episode_goes_on(fit):
    key = "rollout/episode_return"
    assert fit(EarlyStopping(key, mode="max", strict=False)) == 12
    warm = CollectionConfig(warmup_env_steps=1000)
    assert fit(EarlyStopping(key, mode="max"), collection=warm) == 12
