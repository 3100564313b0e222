"""Checkpoints are written whole, in two generations, and a full disk leaves the one before."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from pytorch_lightning.callbacks import ModelCheckpoint
from torch.serialization import get_crc32_options, set_crc32_options

from lightning_dqn.callbacks import EMATargetNetwork
from lightning_dqn.reporting.csv_logger import csv_logger
from lightning_dqn.safekeeping import checkpoint_files
from lightning_dqn.safekeeping.checkpoint_files import SafeCheckpointIO, install
from lightning_dqn.safekeeping.failures import CheckpointsFailed
from lightning_dqn.safekeeping.format_version import FORMAT_VERSION
from lightning_dqn.safekeeping.generations import previous_of
from lightning_dqn.safekeeping.reading import is_whole, read_checkpoint


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A disk of 2 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("no disk can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def numbered(number: int, size: int = 10) -> dict[str, Any]:
    return {"number": number, "weights": torch.full((size,), float(number))}


def test_two_generations_are_kept(tmp_path):
    files, path = SafeCheckpointIO(), tmp_path / "new" / "last.ckpt"
    for number in range(3):
        files.save_checkpoint(numbered(number), path)
        assert files.load_checkpoint(path)["number"] == number
    assert names(path.parent) == {"last.ckpt", "last.previous.ckpt"}
    assert read_checkpoint(previous_of(path))["number"] == 1


def test_the_checkpoint_given_stays_as_it_is_and_the_file_tells_its_format(tmp_path):
    checkpoint = numbered(0)
    SafeCheckpointIO().save_checkpoint(checkpoint, tmp_path / "a.ckpt")
    assert set(checkpoint) == {"number", "weights"}
    assert torch.load(tmp_path / "a.ckpt", weights_only=True)["format_version"] == FORMAT_VERSION


def test_the_file_is_on_the_disk_before_it_takes_the_old_ones_place(tmp_path, monkeypatch):
    files, path = SafeCheckpointIO(), tmp_path / "last.ckpt"
    files.save_checkpoint(numbered(0), path)
    calls: list[tuple[str, str]] = []

    def note(name: str, tell: Any) -> None:
        real = getattr(os, name)

        def noted(*arguments: Any, **named: Any) -> Any:
            calls.append((name, tell(*arguments)))
            assert is_whole(path), "at every moment a whole one is there"
            return real(*arguments, **named)

        monkeypatch.setattr(os, name, noted)

    def kind(handle: int) -> str:
        return "folder" if os.path.isdir(f"/proc/self/fd/{handle}") else "file"

    def target(source: Any, target: Any) -> str:
        return "link" if ".tmp" in Path(target).name else Path(target).name

    note("fsync", kind)
    note("link", target)
    note("replace", target)
    files.save_checkpoint(numbered(1), path)
    assert calls == [
        ("fsync", "file"),
        ("link", "link"),
        ("replace", "last.previous.ckpt"),
        ("replace", "last.ckpt"),
        ("fsync", "folder"),
    ]


@pytest.mark.parametrize("name", ["link", "replace", "fsync"])
def test_whatever_fails_the_old_checkpoint_stays_and_nothing_is_left(name, tmp_path, monkeypatch):
    files, path = SafeCheckpointIO(), tmp_path / "last.ckpt"
    for number in range(2):
        files.save_checkpoint(numbered(number), path)

    def fail(*arguments: Any, **named: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, name, fail)
    with pytest.raises(KeyboardInterrupt):
        files.save_checkpoint(numbered(2), path)
    monkeypatch.undo()
    assert names(tmp_path) == {"last.ckpt", "last.previous.ckpt"}
    assert read_checkpoint(path)["number"] == 1
    assert read_checkpoint(previous_of(path))["number"] in (0, 1)


def test_where_files_have_no_second_names_the_old_one_moves(tmp_path, monkeypatch):
    files, path = SafeCheckpointIO(), tmp_path / "last.ckpt"

    def fail(*arguments: Any, **named: Any) -> None:
        raise OSError(errno.EPERM, "not permitted")

    monkeypatch.setattr(os, "link", fail)
    for number in range(3):
        files.save_checkpoint(numbered(number), path)
    assert names(tmp_path) == {"last.ckpt", "last.previous.ckpt"}
    assert read_checkpoint(previous_of(path))["number"] == 1


def test_a_damaged_checkpoint_never_takes_the_place_of_a_whole_one_before(tmp_path):
    path = tmp_path / "last.ckpt"
    for number in range(2):
        SafeCheckpointIO().save_checkpoint(numbered(number), path)
    path.write_bytes(path.read_bytes()[:-100])
    SafeCheckpointIO().save_checkpoint(numbered(2), path)
    assert read_checkpoint(path)["number"] == 2
    assert read_checkpoint(previous_of(path))["number"] == 0


def test_a_process_without_checksums_writes_them_all_the_same(tmp_path):
    set_crc32_options(False)
    try:
        SafeCheckpointIO().save_checkpoint(numbered(0), tmp_path / "a.ckpt")
        assert get_crc32_options() is False
    finally:
        set_crc32_options(True)
    assert read_checkpoint(tmp_path / "a.ckpt")["number"] == 0


def test_who_gives_a_checkpoint_up_gives_up_both_generations(tmp_path):
    files = SafeCheckpointIO()
    for name in ("a.ckpt", "a.ckpt", "b.ckpt", "b.ckpt"):
        files.save_checkpoint(numbered(0), tmp_path / name)
    files.remove_checkpoint(tmp_path / "a.ckpt")
    assert names(tmp_path) == {"b.ckpt", "b.previous.ckpt"}
    files.remove_checkpoint(tmp_path / "a.ckpt")


def test_what_killed_writers_left_is_swept(tmp_path):
    left = tmp_path / ".last.ckpt.0123456789abcdef.tmp"
    left.touch()
    SafeCheckpointIO().save_checkpoint(numbered(0), tmp_path / "last.ckpt")
    assert names(tmp_path) == {"last.ckpt"}


def test_paths_elsewhere_are_written_and_read_as_lightning_does(tmp_path):
    files = SafeCheckpointIO()
    files.save_checkpoint(numbered(3), "memory://folder/a.ckpt")
    assert files.load_checkpoint("memory://folder/a.ckpt")["number"] == 3
    files.remove_checkpoint("memory://folder/a.ckpt")
    with pytest.raises(FileNotFoundError):
        files.load_checkpoint("memory://folder/a.ckpt")
    files.save_checkpoint(numbered(4), f"file://{tmp_path}/a.ckpt")
    assert read_checkpoint(tmp_path / "a.ckpt")["number"] == 4


def test_who_has_files_of_its_own_is_asked_before_and_told_after(tmp_path):
    files, path = SafeCheckpointIO(), tmp_path / "a.ckpt"
    told: list[Any] = []
    files.before_save.append(lambda checkpoint, path: checkpoint.update(segments=["a"]))
    files.after_save.append(lambda path: told.append(read_checkpoint(path)["segments"]))
    files.save_checkpoint(numbered(0), path)
    assert told == [["a"]]


def test_a_full_disk_leaves_the_checkpoint_before(small_disk):
    files, path = SafeCheckpointIO(), small_disk / "last.ckpt"
    for number in range(2):
        files.save_checkpoint(numbered(number), path)
    with pytest.raises(RuntimeError):
        files.save_checkpoint(numbered(2, size=1_000_000), path)
    assert names(small_disk) == {"last.ckpt", "last.previous.ckpt"}
    assert read_checkpoint(path)["number"] == 1
    assert read_checkpoint(previous_of(path))["number"] == 0


# --- in Lightning's hands


class Filler(pl.Callback):
    """Takes the room on a disk when the fit begins, and gives it back after some epochs."""

    def __init__(self, disk: Path, epochs: int) -> None:
        self.path = disk / "filler"
        self.epochs = epochs

    def on_train_start(self, trainer: Any, module: Any) -> None:
        with suppress(OSError), self.path.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
        if trainer.current_epoch == self.epochs:
            self.path.unlink()


def last_checkpoint(folder: Path, **options: Any) -> ModelCheckpoint:
    named: dict[str, Any] = {"filename": "last", "enable_version_counter": False, **options}
    return ModelCheckpoint(folder, every_n_epochs=1, save_on_train_epoch_end=True, **named)


def saving(make_trainer: Any, kept: ModelCheckpoint, *, max_epochs: int) -> pl.Trainer:
    """Return a Trainer whose checkpoints a callback keeps, by metrics of every iteration."""
    return make_trainer(
        callbacks=[EMATargetNetwork(tau=0.1), kept],
        max_epochs=max_epochs,
        enable_checkpointing=True,
        log_every_n_steps=1,
    )


def failures_told(caught: Any) -> list[str]:
    return [str(one.message) for one in caught if "couldn't be written" in str(one.message)]


ignore_of_lightning = pytest.mark.filterwarnings(
    "ignore:Checkpoint directory", "ignore:Using ModelCheckpoint with manual optimization"
)


@ignore_of_lightning
def test_a_fit_saves_and_resumes_by_it(tmp_path, make_module, make_data, make_trainer):
    folder = tmp_path / "checkpoints"

    def fit(epochs: int, ckpt_path: Path | None = None) -> Any:
        callbacks = [EMATargetNetwork(tau=0.1), last_checkpoint(folder)]
        trainer = make_trainer(callbacks=callbacks, max_epochs=epochs, enable_checkpointing=True)
        module = make_module()
        trainer.fit(module, make_data(), ckpt_path=ckpt_path)
        assert type(trainer.strategy.checkpoint_io) is SafeCheckpointIO
        return module

    module = fit(2)
    assert names(folder) == {"last.ckpt", "last.previous.ckpt"}
    checkpoint = read_checkpoint(folder / "last.ckpt")
    assert checkpoint["format_version"] == FORMAT_VERSION
    assert checkpoint["dqn"]["updates"] == module.updates
    assert read_checkpoint(folder / "last.previous.ckpt")["dqn"]["updates"] == module.updates // 2
    os.truncate(folder / "last.ckpt", 1000)
    with pytest.warns(UserWarning, match=r"last\.previous\.ckpt, is taken"):
        assert fit(2, folder / "last.ckpt").updates == module.updates


@ignore_of_lightning
def test_lightnings_rotation_leaves_no_generation_behind(
    tmp_path, make_module, make_data, make_trainer
):
    kept = last_checkpoint(
        tmp_path, filename="{epoch}", save_top_k=2, monitor="train/updates", mode="max"
    )
    trainer = saving(make_trainer, kept, max_epochs=4)
    trainer.fit(make_module(), make_data())
    assert names(tmp_path) == {"epoch=2.ckpt", "epoch=3.ckpt"}


@ignore_of_lightning
def test_a_run_goes_on_through_a_full_disk(
    small_disk, tmp_path, make_module, make_data, make_trainer
):
    logger = csv_logger(tmp_path / "log")
    callbacks = [EMATargetNetwork(tau=0.1), Filler(small_disk, 2), last_checkpoint(small_disk)]
    trainer = make_trainer(
        callbacks=callbacks,
        max_epochs=3,
        enable_checkpointing=True,
        logger=logger,
        log_every_n_steps=1,
    )
    with pytest.warns(
        UserWarning, match=r"last\.ckpt: .*No space left.*the run continues"
    ) as caught:
        trainer.fit(make_module(), make_data())
    assert len(failures_told(caught)) == 2
    assert trainer.current_epoch == 3
    assert trainer.strategy.checkpoint_io.failures.total == 2
    assert trainer.strategy.checkpoint_io.failures.in_a_row == 0
    assert names(small_disk) == {"last.ckpt"}
    text = (tmp_path / "log" / "metrics.csv").read_text()
    assert "checkpoint/failed" in text.splitlines()[0]


@ignore_of_lightning
@pytest.mark.parametrize(
    ("scores", "failing", "tried", "best"),
    [
        ([10, 200, 50, 150], {1}, [0, 1, 2, 3], 150),
        ([10, 200, 5, 9], {1}, [0, 1], 10),
        ([200, 10, 5, 50], {0}, [0, 1, 3], 50),
        ([10, 200, 100, 50], {1, 2}, [0, 1, 2, 3], 50),
    ],
)
def test_what_could_not_be_saved_is_not_the_best(
    tmp_path, make_module, make_data, make_trainer, monkeypatch, scores, failing, tried, best
):
    real, candidates, seen = checkpoint_files._write, ModelCheckpoint._monitor_candidates, []

    def write(checkpoint: dict[str, Any], path: Path) -> None:
        seen.append(checkpoint["epoch"])
        if checkpoint["epoch"] in failing:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(checkpoint, path)

    def scored(self: ModelCheckpoint, trainer: pl.Trainer) -> dict[str, torch.Tensor]:
        score = torch.tensor(float(scores[trainer.current_epoch]))
        return {**candidates(self, trainer), "train/updates": score}

    monkeypatch.setattr(checkpoint_files, "_write", write)
    monkeypatch.setattr(ModelCheckpoint, "_monitor_candidates", scored)
    kept = last_checkpoint(tmp_path, filename="best", monitor="train/updates", mode="max")
    trainer = saving(make_trainer, kept, max_epochs=4)
    with pytest.warns(UserWarning, match="the run continues"):
        trainer.fit(make_module(), make_data())
    assert seen == tried
    assert scores[read_checkpoint(tmp_path / "best.ckpt")["epoch"]] == best
    assert kept.best_model_score == best
    assert kept.best_model_path == str(tmp_path / "best.ckpt")


@ignore_of_lightning
def test_a_file_whose_successor_failed_is_not_given_up(
    tmp_path, make_module, make_data, make_trainer, monkeypatch
):
    """Lightning removes the old file after a save that it believes in."""
    real = checkpoint_files._write

    def write(checkpoint: dict[str, Any], path: Path) -> None:
        if checkpoint["epoch"] == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(checkpoint, path)

    monkeypatch.setattr(checkpoint_files, "_write", write)
    kept = last_checkpoint(
        tmp_path, filename="{epoch}", save_top_k=1, monitor="train/updates", mode="max"
    )
    trainer = saving(make_trainer, kept, max_epochs=3)
    with pytest.warns(UserWarning, match="the run continues"):
        trainer.fit(make_module(), make_data())
    assert names(tmp_path) == {"epoch=1.ckpt"}


@ignore_of_lightning
def test_five_failures_in_a_row_end_the_run_in_one_line(
    tmp_path, make_module, make_data, make_trainer, monkeypatch
):
    def write(checkpoint: dict[str, Any], path: Path) -> None:
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(checkpoint_files, "_write", write)
    trainer = make_trainer(
        callbacks=[EMATargetNetwork(tau=0.1), last_checkpoint(tmp_path)],
        max_epochs=9,
        enable_checkpointing=True,
    )
    with (
        pytest.warns(UserWarning, match="Permission denied") as caught,
        pytest.raises(CheckpointsFailed, match="Permission denied; that is 5 in a row") as error,
    ):
        trainer.fit(make_module(), make_data())
    assert "\n" not in str(error.value)
    assert len(failures_told(caught)) == 4
    assert trainer.current_epoch == 4


def test_a_save_outside_of_a_fit_is_an_error(
    tmp_path, make_module, make_data, make_trainer, monkeypatch
):
    trainer = make_trainer(callbacks=[EMATargetNetwork(tau=0.1)])
    trainer.fit(make_module(), make_data())

    def write(checkpoint: dict[str, Any], path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint_files, "_write", write)
    with pytest.raises(CheckpointsFailed, match=r"a\.ckpt: .*: No space left"):
        trainer.save_checkpoint(tmp_path / "a.ckpt")


def test_another_error_of_a_save_is_raised_as_it_is(tmp_path, make_module, make_data, make_trainer):
    trainer = make_trainer(callbacks=[EMATargetNetwork(tau=0.1)])
    files = install(trainer)
    assert files is not None

    def fail(checkpoint: dict[str, Any], path: Path) -> None:
        raise RuntimeError("of the user's own")

    files.before_save.append(fail)
    trainer.fit(make_module(), make_data())
    with pytest.raises(RuntimeError, match="of the user's own"):
        trainer.save_checkpoint(tmp_path / "a.ckpt")
    assert names(tmp_path) == set()


def test_a_plugin_of_the_users_own_is_left_alone(make_trainer):
    class Own(TorchCheckpointIO):
        pass

    trainer = make_trainer(plugins=[Own()])
    assert install(trainer) is None
    assert type(trainer.strategy.checkpoint_io) is Own
    trainer = make_trainer()
    files = install(trainer)
    assert files is not None
    assert install(trainer) is files
