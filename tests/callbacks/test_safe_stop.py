"""Where a run may be stopped, and what it finds again when it goes on."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import time
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from support.fake_ray import FakeRay
from support.short_fits import OnBatch

from lightning_dqn import DQN, CollectionConfig, EvaluationConfig, ReplayDataModule
from lightning_dqn.callbacks import EMATargetNetwork, SafeStop
from lightning_dqn.callbacks.safe_stop import _follow
from lightning_dqn.collecting.remote import config as remote_config
from lightning_dqn.collecting.remote.config import RayCollectionConfig
from lightning_dqn.collecting.remote.probe import RayLost
from lightning_dqn.networks.torsos import MLP
from lightning_dqn.replay.samplers.prioritized import PrioritizedSampling
from lightning_dqn.reporting.csv_logger import csv_logger
from lightning_dqn.safekeeping import checkpoint_files
from lightning_dqn.safekeeping.signals import TWICE_SECONDS, Stopped
from lightning_dqn.system.ranks import ALONE, Ranks

pytestmark = pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")


class Send(pl.Callback):
    """Sends this process a signal in an iteration."""

    def __init__(self, number: int, iteration: int, times: int = 1) -> None:
        self.number, self.iteration, self.times = number, iteration, times

    def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
        if trainer.global_step == self.iteration:
            for _ in range(self.times):
                os.kill(os.getpid(), self.number)
                time.sleep(1.2 * TWICE_SECONDS if self.times > 1 else 0.0)


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


def parts(**other: Any) -> tuple[DQN, ReplayDataModule]:
    module = DQN("CartPole-v1", network=MLP(hidden=[8]), compile=False)
    settings = {
        "batch_size": 8,
        "updates_per_iteration": 1,
        "env_steps_per_iteration": 16,
        "env_steps_per_epoch": 128,
        "collection": CollectionConfig(warmup_env_steps=40),
        "evaluation": EvaluationConfig(num_envs=2),
    }
    return module, ReplayDataModule("CartPole-v1", **{**settings, **other})


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1", "SIGHUP"])
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


def test_a_run_from_another_runs_checkpoint_finds_a_best_of_its_own(tmp_path: Path) -> None:
    def best(name: str) -> ModelCheckpoint:
        metric = {"monitor": "eval/episode_return", "mode": "max"}
        return ModelCheckpoint(tmp_path / name, save_on_train_epoch_end=True, **metric)

    first = best("first")
    module, data = parts()
    trainer_in(tmp_path / "runs" / "first", first, epochs=1).fit(module, data)
    saved = torch.load(first.best_model_path, weights_only=True)
    [key] = [name for name in saved["callbacks"] if name.startswith("ModelCheckpoint")]
    saved["callbacks"][key]["best_model_score"] = torch.tensor(1e6)  # of other evaluations
    saved["callbacks"][key]["kth_value"] = torch.tensor(1e6)
    saved["callbacks"][key]["best_k_models"] = {first.best_model_path: torch.tensor(1e6)}
    torch.save(saved, first.best_model_path)
    second = best("second")
    module, data = parts()
    trainer = trainer_in(tmp_path / "runs" / "second", second, SafeStop(), epochs=2)
    trainer.fit(module, data, ckpt_path=first.best_model_path)
    assert Path(second.best_model_path).parent == tmp_path / "second"
    assert Path(second.best_model_path).is_file()
    assert second.best_model_score is not None
    assert second.best_model_score < 1e6


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


class Count(pl.Callback):
    """Counts evaluations, also of the run that is continued; ends it without a word in an epoch."""

    def __init__(self, killed_in: int | None = None) -> None:
        self.count, self.killed_in = 0, killed_in

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        self.count += not trainer.sanity_checking

    def on_train_batch_start(self, trainer: Any, *args: Any) -> None:
        if trainer.current_epoch == self.killed_in:
            raise KeyboardInterrupt

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.count = state_dict["count"]


def test_an_evaluation_that_is_over_when_it_is_saved_is_not_played_again(tmp_path: Path) -> None:
    def fit(killed_in: int | None, path: Path | None) -> int:
        saves = ModelCheckpoint(
            tmp_path, "last", save_on_train_epoch_end=False, enable_version_counter=False
        )
        count = Count(killed_in)
        with suppress(KeyboardInterrupt, SystemExit):
            trainer_in(tmp_path, SafeStop(), count, saves).fit(*parts(), ckpt_path=path)
        return count.count

    assert fit(2, None) == 2
    assert fit(None, tmp_path / "last.ckpt") == 3, "as many as there are epochs"


HELD = CollectionConfig(warmup_env_steps=40, random_action_max_steps=4)


@pytest.mark.parametrize(
    ("before", "after", "names"),
    [
        ({}, {"sampler": PrioritizedSampling()}, r"^sampler=Prioritized\w+: .*kept nothing, and"),
        ({"sampler": PrioritizedSampling()}, {}, r"^sampler=Uniform\w+: .*keeps nothing; continue"),
        ({}, {"collection": HELD}, "^random_action_max_steps: .* saved without it; continue as"),
        ({"collection": HELD}, {}, "^random_action_max_steps: .* saved with it; continue as"),
    ],
)
def test_another_sampler_or_exploration_is_refused_by_name_where_a_fit_goes_on(
    before: dict[str, Any], after: dict[str, Any], names: str, tmp_path: Path
) -> None:
    with pytest.raises(Stopped):
        trainer_in(tmp_path, Send(signal.SIGTERM, 2), SafeStop()).fit(*parts(**before))
    path = tmp_path / "checkpoints" / "last.ckpt"
    with pytest.raises(ValueError, match=names):
        trainer_in(tmp_path, SafeStop()).fit(*parts(**after), ckpt_path=path)


@pytest.mark.parametrize("is_first", [True, False])
def test_a_stop_at_an_epochs_end_leaves_its_checkpoints(is_first: bool, tmp_path: Path) -> None:
    class AtTheEnd(pl.Callback):
        def on_validation_end(self, trainer: Any, module: Any) -> None:
            if not trainer.sanity_checking:
                os.kill(os.getpid(), signal.SIGTERM)

    best = ModelCheckpoint(
        tmp_path / "best",
        monitor="eval/episode_return",
        mode="max",
        save_on_train_epoch_end=True,
    )
    own = [SafeStop(), best] if is_first else [best, SafeStop()]
    with pytest.raises(Stopped):
        trainer_in(tmp_path, AtTheEnd(), *own).fit(*parts())
    assert len(list((tmp_path / "best").iterdir())) == 1


def test_a_run_that_something_else_ended_in_its_first_epoch_learns_on(tmp_path: Path) -> None:
    """Early stopping says 0 of the epoch in which it stopped where it didn't stop, too."""
    path = tmp_path / "last.ckpt"

    def fit(ckpt_path: Path | None) -> int:
        stops = EarlyStopping("time/env_steps", mode="max", patience=9)
        saves = ModelCheckpoint(tmp_path, "last", enable_version_counter=False)
        ends = OnBatch(after=lambda *_: setattr(trainer, "should_stop", True))
        module, data = parts()
        trainer = trainer_in(
            tmp_path, stops, SafeStop(), saves, *([] if ckpt_path else [ends]), epochs=3
        )
        trainer.fit(module, data, ckpt_path=ckpt_path)
        return module.env_steps

    ended = fit(None)
    assert ended < 128
    assert fit(path) > 2 * 128


def test_a_run_that_early_stopping_ended_learns_on_by_another_budget_alone(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"

    def fit(epochs: int, patience: int = 1, ckpt_path: Path | None = path) -> int:
        stops = EarlyStopping("time/env_steps", mode="min", patience=patience)
        saves = ModelCheckpoint(tmp_path, "last", enable_version_counter=False)
        module, data = parts()
        trainer = trainer_in(tmp_path, stops, SafeStop(), saves, epochs=epochs)
        trainer.fit(module, data, ckpt_path=ckpt_path)
        return module.env_steps

    ended = fit(5, ckpt_path=None)
    kept = path.read_bytes()
    assert ended < 3 * 128 + 40
    assert fit(5) == ended
    assert fit(6) > ended
    path.write_bytes(kept)
    assert fit(5, patience=3) > ended


@pytest.mark.parametrize(
    ("waited", "longest", "ends"),
    [(0.4, 0.4, False), (1.4, 0.0, False), (1.6, 0.0, True), (1.6, 0.6, False), (1.9, 0.6, True)],
)
def test_a_worker_that_is_slow_keeps_a_stop_waiting_and_one_that_hangs_does_not(
    waited: float, longest: float, ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    safe_stop = SafeStop()
    safe_stop.stop_if_waiting(waited, longest)
    safe_stop.listener.ask()
    monkeypatch.setattr(safe_stop.listener, "seconds", lambda: 60.0)
    with pytest.raises(Stopped) if ends else nullcontext():
        safe_stop.stop_if_waiting(waited, longest)
    safe_stop._ranks = Ranks(2)
    safe_stop.stop_if_waiting(waited, longest)  # all end together
    safe_stop._ranks = ALONE
    monkeypatch.setattr(safe_stop.listener, "seconds", lambda: 0.1)
    safe_stop.stop_if_waiting(waited, longest)  # the signal has just come


def test_what_a_checkpoint_names_elsewhere_is_no_file_of_its_run() -> None:
    """Lightning deletes the worst of the best that it knows."""
    for before in ("/old/checkpoints", "/new/checkpoints", None):
        state = {
            "dirpath": before,
            "best_k_models": {"/home/u/a.txt": torch.tensor(1.0)},
            "best_model_path": f"{before}/deep/best.ckpt",
            "kth_best_model_path": f"{before}/../../home/u/b.txt",
            "last_model_path": "",
        }
        _follow(state, "/new/checkpoints")
        assert list(state["best_k_models"]) == ["/new/checkpoints/a.txt"]
        assert state["kth_best_model_path"] == "/new/checkpoints/b.txt"
        assert state["last_model_path"] == ""
        if before is not None:
            assert state["best_model_path"] == "/new/checkpoints/deep/best.ckpt"
