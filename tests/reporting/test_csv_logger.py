"""The CSV file: where it lies, what its columns are, when it is on disk."""

from __future__ import annotations

import csv
import errno
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import LambdaCallback, LearningRateMonitor
from support.logged_fit import logged_fit

from lightning_dqn.callbacks import EMATargetNetwork, SafeStop
from lightning_dqn.reporting import csv_logger as csv_module
from lightning_dqn.reporting.csv_logger import csv_logger


def _rows(run_dir: Path) -> list[dict[str, str]]:
    with (run_dir / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_csv_lands_in_a_run_directory_that_is_not_empty(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("seed: 0\n")
    logger = csv_logger(tmp_path)
    logger.log_metrics({"train/loss": 0.5}, step=3)
    assert _rows(tmp_path) == [{"step": "3", "train/loss": "0.5"}]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yaml", "metrics.csv"]
    assert Path(logger.log_dir) == tmp_path


def test_csv_makes_its_directory(tmp_path: Path) -> None:
    csv_logger(tmp_path / "new" / "run").log_metrics({"train/loss": 0.5}, step=0)
    assert len(_rows(tmp_path / "new" / "run")) == 1


def test_csv_columns_that_appear_later_keep_earlier_rows(tmp_path: Path) -> None:
    logger = csv_logger(tmp_path)
    logger.log_metrics({"train/loss": 0.5}, step=0)
    logger.log_metrics({"eval/return": 9.0}, step=1)
    assert _rows(tmp_path) == [
        {"eval/return": "", "step": "0", "train/loss": "0.5"},
        {"eval/return": "9.0", "step": "1", "train/loss": ""},
    ]


def test_csv_of_a_continued_run_appends(tmp_path: Path) -> None:
    csv_logger(tmp_path).log_metrics({"train/loss": 0.5, "time/env_steps": 10}, step=0)
    continued = csv_logger(tmp_path)
    continued.log_metrics({"train/loss": 0.25}, step=1)
    continued.log_metrics({"eval/return": 9.0}, step=2)
    rows = _rows(tmp_path)
    assert [row["train/loss"] for row in rows] == ["0.5", "0.25", ""]
    assert [row["time/env_steps"] for row in rows] == ["10", "", ""]
    assert [row["eval/return"] for row in rows] == ["", "", "9.0"]


def test_csv_is_on_disk_at_every_validation_and_at_the_end(tmp_path: Path) -> None:
    evaluations: list[int] = []

    class Reader(Callback):
        def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
            rows = _rows(tmp_path) if trainer.current_epoch else []
            evaluations.append(sum(bool(row["eval/return"]) for row in rows))

    logged_fit(csv_logger(tmp_path), tmp_path, callbacks=[Reader()])
    assert evaluations == [0, 1]
    rows = _rows(tmp_path)
    assert [row["time/env_steps"] for row in rows if row["eval/return"]] == ["30.0", "60.0"]
    train = [row["time/env_steps"] for row in rows if row["train/loss"]]
    assert train == ["10.0", "20.0", "30.0", "40.0", "50.0", "60.0"]


def test_rows_of_a_full_disk_are_written_when_there_is_space_again(tmp_path, monkeypatch) -> None:
    logger = csv_logger(tmp_path)
    logger.log_metrics({"train/loss": 0.5}, step=0)
    before = (tmp_path / "metrics.csv").read_bytes()

    def fail(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(csv_module, "_append", fail)
        full.setattr(csv_module, "write_whole", fail)
        with pytest.warns(UserWarning, match=r"metrics\.csv: rows .* No space left"):
            logger.log_metrics({"train/loss": 0.25}, step=1)
        logger.log_metrics({"eval/return": 9.0}, step=2)  # told once: a warning is an error here
        assert logger.experiment.failures == 2
        assert (tmp_path / "metrics.csv").read_bytes() == before
    logger.log_metrics({"train/loss": 0.125}, step=3)
    assert [row["step"] for row in _rows(tmp_path)] == ["0", "1", "2", "3"]
    assert [row["train/loss"] for row in _rows(tmp_path)] == ["0.5", "0.25", "", "0.125"]
    assert [row["eval/return"] for row in _rows(tmp_path)] == ["", "", "9.0", ""]


def test_a_row_is_appended_whole_or_not_at_all(tmp_path) -> None:
    """On a disk that really is full, or as good as: the size of files is limited."""
    path = tmp_path / "metrics.csv"
    program = f"""
import resource, signal, warnings
from lightning_dqn.reporting.csv_logger import csv_logger
warnings.simplefilter("ignore")
logger = csv_logger({str(tmp_path)!r})
logger.log_metrics({{"loss": 0.5}}, step=0)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (30, resource.RLIM_INFINITY))
for step in range(1, 9):
    logger.log_metrics({{"loss": 0.25}}, step=step)
assert logger.experiment.failures > 3
print(open({str(path)!r}).read(), end="")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
logger.log_metrics({{"loss": 0.25}}, step=9)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.endswith("\n")
    assert len(result.stdout) <= 30
    assert [row["step"] for row in _rows(tmp_path)] == [str(step) for step in range(10)]


def test_a_line_that_a_killed_run_left_unfinished_is_cut_off(tmp_path) -> None:
    csv_logger(tmp_path).log_metrics({"train/loss": 0.5}, step=0)
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("1,0.2")
    csv_logger(tmp_path).log_metrics({"train/loss": 0.25}, step=2)
    assert [row["step"] for row in _rows(tmp_path)] == ["0", "2"]


def test_hyper_parameters_on_a_full_disk_end_nothing(tmp_path, monkeypatch) -> None:
    def fail(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(csv_module, "save_hparams_to_yaml", fail)
    with pytest.warns(UserWarning, match="hparams"):
        csv_logger(tmp_path).log_hyperparams({"gamma": 0.99})


def test_rows_of_env_steps_that_come_again_and_tests_are_taken_away(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text(
        "step,time/env_steps,eval/episode_return,test/episode_return\n"
        "7,100,,\n"
        "8,200,1.5,\n"
        ",300,,\n"
        "4,,2.5,\n"
        "5,,3.5,\n"
        "200,,,9.0\n"
        "9,"  # and there the power went
    )
    header = "step,time/env_steps,eval/episode_return,test/episode_return"
    csv_logger(tmp_path).rewind(200, 5)  # of the iterations 0 to 4
    assert path.read_text().splitlines() == [header, "7,100,,", "8,200,1.5,", "4,,2.5,"]
    csv_logger(tmp_path).rewind(0, 0)
    assert path.read_text().splitlines() == [header]
    csv_logger(tmp_path / "new").rewind(200, 5)
    assert not (tmp_path / "new").exists()


def test_rows_of_an_iteration_that_comes_again_are_there_once(tmp_path, make_module, make_data):
    """Those of Lightning's LearningRateMonitor tell no env steps; saved after 4 of 6 iterations."""

    def fit(checkpoint: Path | None) -> None:
        trainer = Trainer(
            accelerator="cpu",
            logger=csv_logger(tmp_path),
            callbacks=[LearningRateMonitor(), EMATargetNetwork(tau=0.1), SafeStop(), save],
            default_root_dir=tmp_path,
            max_epochs=2,
            limit_val_batches=0,
            log_every_n_steps=1,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(make_module(), make_data(), ckpt_path=checkpoint)

    save = LambdaCallback(
        on_train_batch_end=lambda trainer, *_: (
            trainer.save_checkpoint(tmp_path / "saved.ckpt") if trainer.global_step == 4 else None
        )
    )

    def steps() -> list[tuple[str, str]]:
        return [(row["step"], row["time/env_steps"]) for row in _rows(tmp_path)]

    fit(None)
    whole = steps()
    assert {step for step, env_steps in whole if not env_steps} == {*"012345"}
    fit(tmp_path / "saved.ckpt")
    assert sorted(steps()) == sorted(whole)


@pytest.mark.parametrize("what", ["rewind", "new column"])
def test_a_long_file_is_never_in_memory_whole(tmp_path: Path, what: str) -> None:
    names = ["step", "time/env_steps", *(f"train/{number}" for number in range(40))]
    lines = [",".join(["1"] * len(names))] * 10_000
    (tmp_path / "metrics.csv").write_text("\n".join([",".join(names), *lines]) + "\n")
    logger = csv_logger(tmp_path)
    tracemalloc.start()
    if what == "rewind":
        logger.rewind(5, 5)
    else:
        logger.log_metrics({"eval/episode_return": 1.0}, step=2)
        logger.save()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(_rows(tmp_path)) == 10_000 + (what != "rewind")
    assert most < 2**20, "the file is of that size, and its rows as dicts take many times as much"
