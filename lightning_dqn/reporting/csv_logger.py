"""Metrics as one CSV file in the run's folder."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from lightning_fabric.loggers.logger import rank_zero_experiment
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter

from lightning_dqn.system.files import write_whole


class _AppendingWriter(ExperimentWriter):
    """Keeps the rows that an earlier part of the run wrote, where Lightning's deletes them."""

    def _check_log_dir_exists(self) -> None:
        if self._fs.isfile(self.metrics_file_path):
            with self._fs.open(self.metrics_file_path, "r", newline="") as file:
                self.metrics_keys = next(csv.reader(file), [])


class _RunCSVLogger(CSVLogger):
    """Lightning's ``CSVLogger`` for a directory that holds other files and earlier rows."""

    _experiment_file = ExperimentWriter.NAME_METRICS_FILE

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The writer of ``metrics.csv``, made on first use; a dummy on other ranks."""
        if self._experiment is None:
            self._experiment = _AppendingWriter(log_dir=self.log_dir)
        return self._experiment

    def rewind(self, env_steps: int) -> None:
        """Drop the rows of env steps that a continued run takes again, and of tests.

        Args:
            env_steps: of the checkpoint from which it goes on.
        """
        path = Path(self.log_dir, self._experiment_file)
        if path.is_file():
            write_whole(path, lambda temporary: _copy_rows(path, temporary, env_steps))


def _copy_rows(path: Path, target: Path, env_steps: int) -> None:
    """Copy the rows up to ``env_steps``, in the header's columns."""
    with path.open(newline="") as old, target.open("w", newline="") as new:
        rows = csv.DictReader(old)
        writer = csv.DictWriter(new, rows.fieldnames or [], lineterminator="\n")
        writer.writeheader()
        for row in rows:
            is_test = any(value and key.startswith("test/") for key, value in row.items())
            if float(row["step"]) <= env_steps and not is_test:
                writer.writerow(row)


def csv_logger(run_dir: str | Path) -> CSVLogger:
    """Return a logger that writes ``<run_dir>/metrics.csv``.

    Under a Trainer each row is on disk as soon as it is logged. A run that continues in
    ``run_dir`` appends to its rows; a column that appears later is empty in earlier rows.

    Args:
        run_dir: The run's directory; made if it does not exist, and it may hold other files.
    """
    return _RunCSVLogger(run_dir, name="", version="", flush_logs_every_n_steps=1)
