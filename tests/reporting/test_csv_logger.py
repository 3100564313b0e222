"""The CSV file: where it lies, what its columns are, when it is on disk."""

from __future__ import annotations

import csv
from pathlib import Path

from pytorch_lightning import Callback, LightningModule, Trainer
from support.logged_fit import logged_fit

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
