"""Metrics as one CSV file in the run's folder."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from lightning_fabric.loggers.logger import rank_zero_experiment
from pytorch_lightning.core.saving import save_hparams_to_yaml
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter
from pytorch_lightning.utilities import rank_zero_warn

from lightning_dqn.reporting.metrics_file import whole_lines
from lightning_dqn.system.files import write_whole


class _AppendingWriter(ExperimentWriter):
    """Keeps the rows of an earlier part of the run, where Lightning's deletes them.

    Rows that can't be written, as on a full disk, are kept and written with later ones.

    Attributes:
        failures: how often rows couldn't be written.
    """

    def __init__(self, log_dir: str) -> None:
        self.failures = 0
        super().__init__(log_dir)

    def save(self) -> None:
        """Write the rows that aren't written yet; a failure is told once and ends nothing."""
        try:
            self._write()
        except OSError as error:
            self.failures += 1
            if self.failures == 1:
                rank_zero_warn(
                    f"{self.metrics_file_path}: rows couldn't be written: {error.strerror}; the "
                    "run continues, and they are written when there is space again"
                )

    def log_hparams(self, params: dict[str, Any]) -> None:
        """Write hyper-parameters as YAML; a failure is told and ends nothing."""
        self.hparams.update(params)
        path = Path(self.log_dir, self.NAME_HPARAMS_FILE)
        try:
            write_whole(path, lambda temporary: save_hparams_to_yaml(temporary, self.hparams))
        except OSError as error:
            rank_zero_warn(f"{path}: couldn't be written: {error.strerror}; the run continues")

    def _write(self) -> None:
        if not self.metrics:
            return
        path = Path(self.metrics_file_path)
        keys = sorted({*self.metrics_keys, *(key for row in self.metrics for key in row)})
        if keys != self.metrics_keys or not path.is_file():
            rows: Iterable[Mapping[str, Any]] = chain(_rows(path), self.metrics)
            write_whole(path, lambda temporary: _write_rows(temporary, keys, rows))
        else:
            _append(path, _lines(keys, self.metrics))
        self.metrics_keys = keys
        self.metrics = []

    def _check_log_dir_exists(self) -> None:
        path = Path(self.metrics_file_path)
        if path.is_file():
            _cut_unfinished_line(path)
            self.metrics_keys = _header(path)


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

    def rewind(self, env_steps: int, global_step: int) -> None:
        """Drop the rows of what a continued run does again, and of tests.

        Args:
            env_steps: of the checkpoint from which it goes on.
            global_step: likewise; rows that tell no env steps, as of Lightning's
                ``LearningRateMonitor``, stand at such a step.
        """
        path = Path(self.log_dir, self._experiment_file)
        if path.is_file():
            keys = _header(path)
            kept = (row for row in _rows(path) if _is_kept(row, env_steps, global_step))
            write_whole(path, lambda temporary: _write_rows(temporary, keys, kept))


def _is_kept(row: Mapping[str, str], env_steps: int, global_step: int) -> bool:
    if any(value and key.startswith("test/") for key, value in row.items()):
        return False
    if told := row.get("time/env_steps"):
        return float(told) <= env_steps
    # A row is of the step before which it was logged, so that the first one is at 0.
    return float(row["step"]) < global_step


def csv_logger(run_dir: str | Path) -> CSVLogger:
    """Return a logger that writes ``<run_dir>/metrics.csv``.

    Under a Trainer each row is on disk as soon as it is logged. A run that continues in
    ``run_dir`` appends to its rows; a column that appears later is empty in earlier rows. Rows
    that can't be written, as on a full disk, are written later; the run continues.

    Args:
        run_dir: The run's directory; made if it does not exist, and it may hold other files.
    """
    return _RunCSVLogger(run_dir, name="", version="", flush_logs_every_n_steps=1)


def _header(path: Path) -> list[str]:
    with path.open(newline="") as file:
        return next(csv.reader(file), [])


def _rows(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a file one by one: all of a long run would take gigabytes."""
    if path.is_file():
        with path.open(newline="") as file:
            yield from csv.DictReader(whole_lines(file))


def _write_rows(path: Path, keys: list[str], rows: Iterable[Mapping[str, Any]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=keys)
        writer.writeheader()
        writer.writerows(rows)


def _lines(keys: list[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    text = io.StringIO(newline="")
    csv.DictWriter(text, fieldnames=keys).writerows(rows)
    return text.getvalue().encode()


def _append(path: Path, content: bytes) -> None:
    """Append all of it or nothing, so that no line is ever half there."""
    with path.open("ab", buffering=0) as file:
        before = os.fstat(file.fileno()).st_size
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[file.write(rest) :]
        except OSError:
            file.truncate(before)
            raise


def _cut_unfinished_line(path: Path) -> None:
    """Take away the last line where whoever wrote it was ended in its middle."""
    with path.open("rb") as file:
        whole = sum(len(line) for line in file if line.endswith(b"\n"))
        if whole < file.tell():
            os.truncate(path, whole)
