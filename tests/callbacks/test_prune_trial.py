"""A trial is told of each evaluation, and its run ends where it does worse than others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl

from lightning_dqn import DQN, CollectionConfig, EvaluationConfig, ReplayDataModule
from lightning_dqn.callbacks import EMATargetNetwork, LiveDashboard, PruneTrial
from lightning_dqn.networks.torsos import MLP
from lightning_dqn.reporting.optuna_study import JOURNAL, METRIC, PRUNER, STUDY, open_storage
from lightning_dqn.system.files import PRUNED

optuna = pytest.importorskip("optuna")

EPOCH = 128


def study_in(folder: Path, pruner: dict[str, Any], metric: str = "eval/episode_return") -> Any:
    study = optuna.create_study(
        storage=open_storage(folder / JOURNAL), study_name=STUDY, direction="maximize"
    )
    study.set_user_attr(METRIC, metric)
    study.set_user_attr(PRUNER, pruner)
    return study


def threshold(lower: float) -> dict[str, Any]:
    return {"_target_": "optuna.pruners.ThresholdPruner", "lower": lower}


def fit(
    folder: Path, trial: int = 0, epochs: int = 3, callbacks: Sequence[pl.Callback] = ()
) -> DQN:
    module = DQN("CartPole-v1", network=MLP(hidden=[8]), compile=False)
    data = ReplayDataModule(
        "CartPole-v1",
        batch_size=8,
        updates_per_iteration=1,
        env_steps_per_iteration=16,
        env_steps_per_epoch=EPOCH,
        collection=CollectionConfig(warmup_env_steps=40),
        evaluation=EvaluationConfig(num_envs=2),
    )
    callback = PruneTrial(trial, storage=folder / JOURNAL, run_dir=folder)
    trainer = pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        callbacks=[EMATargetNetwork(tau=0.1), callback, *callbacks],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    trainer.fit(module, data)
    return module


def test_each_evaluation_is_told_at_the_env_steps_of_its_epochs(tmp_path: Path) -> None:
    study = study_in(tmp_path, threshold(0.0))
    study.ask()
    fit(tmp_path)
    told = study.trials[0].intermediate_values
    assert list(told) == [EPOCH, 2 * EPOCH, 3 * EPOCH]
    assert all(value >= 1 for value in told.values())
    assert not (tmp_path / PRUNED).exists()


def test_of_an_evaluation_by_a_key_a_trial_is_told_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LiveDashboard, "evaluates_by_key", True)
    study = study_in(tmp_path, threshold(1_000.0))
    study.ask()
    fit(tmp_path, callbacks=[LiveDashboard(show=False)])
    assert study.trials[0].intermediate_values == {}
    assert not (tmp_path / PRUNED).exists()


def test_a_run_ends_at_the_evaluation_that_is_too_bad(tmp_path: Path) -> None:
    study = study_in(tmp_path, threshold(1_000.0))
    study.ask()
    module = fit(tmp_path)
    assert EPOCH <= module.env_steps < 2 * EPOCH
    pruned = json.loads((tmp_path / PRUNED).read_text())
    [value] = study.trials[0].intermediate_values.values()
    assert pruned == {
        "env_steps": module.env_steps,
        "value": value,
        "metric": "eval/episode_return",
    }


def test_at_its_last_evaluation_nothing_would_be_spared(tmp_path: Path) -> None:
    study_in(tmp_path, threshold(1_000.0)).ask()
    fit(tmp_path, epochs=1)
    assert not (tmp_path / PRUNED).exists()


def test_the_study_says_what_is_looked_at(tmp_path: Path) -> None:
    study = study_in(tmp_path, threshold(0.0), "eval/episode_length")
    study.ask()
    fit(tmp_path, epochs=1)
    assert len(study.trials[0].intermediate_values) == 1


def test_a_metric_that_isnt_evaluated_is_refused_with_those_that_are(tmp_path: Path) -> None:
    study_in(tmp_path, threshold(0.0), "eval/nope").ask()
    with pytest.raises(ValueError, match=r"^sweep.metric=eval/nope: no run logs it; .*eval/episo"):
        fit(tmp_path)


def test_a_trial_that_has_ended_is_told_nothing(tmp_path: Path) -> None:
    study = study_in(tmp_path, threshold(1_000.0))
    study.tell(study.ask(), 3.0)
    fit(tmp_path)
    assert study.trials[0].intermediate_values == {}
    assert not (tmp_path / PRUNED).exists()


def test_a_run_that_goes_on_may_tell_the_same_again(tmp_path: Path) -> None:
    study = study_in(tmp_path, threshold(0.0))
    study.ask().report(7.0, EPOCH)
    fit(tmp_path, epochs=1)
    assert study.trials[0].intermediate_values == {EPOCH: 7.0}


def test_a_study_that_isnt_there_isnt_made(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"storage=.*optuna.journal: there is no such file"):
        fit(tmp_path)
    assert not (tmp_path / JOURNAL).exists()
