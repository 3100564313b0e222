"""Where a run may be stopped, and what it finds again when it goes on."""

from __future__ import annotations

import errno
import os
import shutil
import signal
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from support.fake_ray import FakeRay

from lightning_dqn import DQN, CollectionConfig, EvaluationConfig, ReplayDataModule
from lightning_dqn.callbacks import EMATargetNetwork, SafeStop
from lightning_dqn.collecting.remote import config as remote_config
from lightning_dqn.collecting.remote.config import RayCollectionConfig
from lightning_dqn.collecting.remote.probe import RayLost
from lightning_dqn.networks.torsos import MLP
from lightning_dqn.reporting.csv_logger import csv_logger
from lightning_dqn.safekeeping import checkpoint_files
from lightning_dqn.safekeeping.signals import Stopped

pytestmark = pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")


class Send(pl.Callback):
    """Sends this process a signal in an iteration."""

    def __init__(self, number: int, iteration: int, times: int = 1) -> None:
        self.number, self.iteration, self.times = number, iteration, times

    def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
        if trainer.global_step == self.iteration:
            for _ in range(self.times):
                os.kill(os.getpid(), self.number)


def trainer_in(folder: Path, *callbacks: pl.Callback, epochs: int = 3) -> pl.Trainer:
    return pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=csv_logger(folder),
        callbacks=[EMATargetNetwork(tau=0.1), *callbacks],
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        default_root_dir=folder,
    )


def parts() -> tuple[DQN, ReplayDataModule]:
    module = DQN("CartPole-v1", network=MLP(hidden=[8]), compile=False)
    data = ReplayDataModule(
        "CartPole-v1",
        batch_size=8,
        updates_per_iteration=1,
        env_steps_per_iteration=16,
        env_steps_per_epoch=128,
        collection=CollectionConfig(warmup_env_steps=40),
        evaluation=EvaluationConfig(num_envs=2),
    )
    return module, data


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1"])
def test_a_signal_ends_a_fit_after_its_iteration(name: str, tmp_path: Path) -> None:
    before = {number: signal.getsignal(number) for number in (2, 10, 15)}
    module, data = parts()
    send = Send(getattr(signal, name), 5)
    with pytest.raises(Stopped) as stopped:
        trainer_in(tmp_path, send, SafeStop()).fit(module, data)
    path = tmp_path / "checkpoints" / "last.ckpt"
    assert stopped.value.checkpoint == path
    assert stopped.value.exit_status == 128 + getattr(signal, name)
    saved = torch.load(path, weights_only=True)
    assert (saved["global_step"], saved["dqn"]["updates"]) == (5, 5)
    assert {number: signal.getsignal(number) for number in (2, 10, 15)} == before


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(checkpoint_files, "_write", Mock(side_effect=full))


@pytest.mark.filterwarnings("ignore:.*the checkpoint couldn't be written")
def test_on_a_full_disk_a_stop_says_that_nothing_was_saved(full_disk: None, tmp_path: Path) -> None:
    send = Send(signal.SIGTERM, 5)
    with pytest.raises(Stopped) as stopped:
        trainer_in(tmp_path, send, SafeStop()).fit(*parts())
    path = tmp_path / "checkpoints" / "last.ckpt"
    assert not path.exists()
    assert (stopped.value.checkpoint, stopped.value.is_saved) == (path, False)
    assert stopped.value.exit_status == 143


class LoseRay(pl.Callback):
    """Lets the control service of Ray be dead after an iteration."""

    def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
        if trainer.global_step == 5:
            trainer.datamodule.source._probe._failure = "fails (ConnectionError)"


def with_actors() -> tuple[DQN, ReplayDataModule]:
    module, data = parts()
    data.collection = RayCollectionConfig(warmup_env_steps=40)
    return module, data


@pytest.fixture
def fake_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_config, "Session", lambda address: FakeRay())


@pytest.mark.filterwarnings("ignore:.*the checkpoint couldn't be written")
def test_where_ray_is_lost_and_the_disk_is_full_the_error_says_so(
    fake_ray: None, full_disk: None, tmp_path: Path
) -> None:
    with pytest.raises(RayLost, match="what is new couldn't be saved, what was before is as it"):
        trainer_in(tmp_path, LoseRay(), SafeStop()).fit(*with_actors())


def test_where_ray_is_lost_the_run_is_saved_and_goes_on_later(
    fake_ray: None, tmp_path: Path
) -> None:
    path = tmp_path / "checkpoints" / "last.ckpt"
    with pytest.raises(RayLost, match=f"control service fails .*; all so far is saved in {path}"):
        trainer_in(tmp_path, LoseRay(), SafeStop()).fit(*with_actors())
    module, data = with_actors()
    trainer_in(tmp_path, SafeStop()).fit(module, data, ckpt_path=path, weights_only=True)
    assert module.updates == 3 * 8


def test_the_second_signal_ends_it_where_it_is_and_saves_nothing(tmp_path: Path) -> None:
    module, data = parts()
    with pytest.raises(Stopped) as stopped:
        trainer_in(tmp_path, Send(signal.SIGINT, 5, times=2), SafeStop()).fit(module, data)
    assert stopped.value.checkpoint is None
    assert not (tmp_path / "checkpoints").exists()
    assert data.source is None, "it was closed"


def test_the_last_iteration_of_an_epoch_is_followed_by_its_evaluation(tmp_path: Path) -> None:
    module, data = parts()
    with pytest.raises(Stopped):
        trainer_in(tmp_path, Send(signal.SIGTERM, 8), SafeStop()).fit(module, data)
    assert not [row for row in rows(tmp_path) if "eval/episode_return" in row]
    module, data = parts()
    path = tmp_path / "checkpoints" / "last.ckpt"
    trainer_in(tmp_path, SafeStop(), epochs=1).fit(module, data, ckpt_path=path)
    assert len([row for row in rows(tmp_path) if "eval/episode_return" in row]) == 1
    assert module.updates == 8


def test_without_evaluation_an_epochs_end_is_as_good(tmp_path: Path) -> None:
    module, data = parts()
    trainer = trainer_in(tmp_path, Send(signal.SIGTERM, 8), SafeStop())
    trainer.limit_val_batches = 0
    with pytest.raises(Stopped):
        trainer.fit(module, data)
    module, data = parts()
    path = tmp_path / "checkpoints" / "last.ckpt"
    trainer = trainer_in(tmp_path, SafeStop(), epochs=2)
    trainer.limit_val_batches = 0
    trainer.fit(module, data, ckpt_path=path)
    assert module.updates == 16
    steps = [float(row["step"]) for row in rows(tmp_path)]
    assert len(steps) == 16
    assert steps == sorted(set(steps))


def test_rows_that_come_again_are_not_there_twice(tmp_path: Path) -> None:
    def last() -> ModelCheckpoint:
        folder = tmp_path / "checkpoints"
        return ModelCheckpoint(folder, filename="last", enable_version_counter=False)

    module, data = parts()
    trainer_in(tmp_path, last(), epochs=2).fit(module, data)
    whole = rows(tmp_path)
    shutil.copy(tmp_path / "metrics.csv", tmp_path / "before.csv")
    module, data = parts()
    # As after a kill: rows of a third epoch are there, the checkpoint is of the second's end.
    with (tmp_path / "metrics.csv").open("a") as file:
        header = (tmp_path / "before.csv").read_text().splitlines()[0].split(",")
        file.write(",".join("9999" if name == "step" else "" for name in header) + "\n")
    path = tmp_path / "checkpoints" / "last.ckpt"
    trainer_in(tmp_path, last(), SafeStop(), epochs=3).fit(module, data, ckpt_path=path)
    after = rows(tmp_path)
    assert after[: len(whole)] == whole
    assert "9999" not in [row["step"] for row in after]
    assert len(after) == len(whole) // 2 * 3


def test_a_moved_folder_keeps_its_best_checkpoint(tmp_path: Path) -> None:
    def best(folder: Path) -> ModelCheckpoint:
        return ModelCheckpoint(
            folder / "checkpoints",
            filename="best",
            monitor="eval/episode_return",
            mode="max",
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )

    old, new = tmp_path / "old", tmp_path / "new"
    module, data = parts()
    trainer_in(old, best(old), epochs=1).fit(module, data)
    path = old / "checkpoints" / "best.ckpt"
    saved = torch.load(path, weights_only=True)
    [key] = [name for name in saved["callbacks"] if name.startswith("ModelCheckpoint")]
    saved["callbacks"][key]["best_model_score"] = torch.tensor(1e6)  # a very good one
    saved["callbacks"][key]["best_k_models"] = {str(path): torch.tensor(1e6)}
    torch.save(saved, path)
    old.rename(new)
    module, data = parts()
    callback = best(new)
    path = new / "checkpoints" / "best.ckpt"
    content = path.read_bytes()
    trainer_in(new, callback, SafeStop(), epochs=2).fit(module, data, ckpt_path=path)
    assert callback.best_model_path == str(path)
    assert path.read_bytes() == content


def rows(folder: Path) -> list[dict[str, str]]:
    """Return the rows of metrics, without empty cells and what a clock says."""
    header, *lines = (folder / "metrics.csv").read_text().splitlines()
    names = header.split(",")
    return [
        {
            name: value
            for name, value in zip(names, line.split(","), strict=True)
            if value and not name.endswith("per_second")
        }
        for line in lines
    ]
