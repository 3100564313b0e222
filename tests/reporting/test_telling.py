"""Rows reach loggers as they are and callbacks in full precision."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl

from lightning_dqn.callbacks import EMATargetNetwork
from lightning_dqn.reporting.telling import tell_row, tell_values

LARGE = 2.0**24 + 1
"""A count that float32 rounds."""


class Tells(pl.Callback):
    """Tells a row of training after each iteration and a value after validation."""

    def __init__(self) -> None:
        self.metrics: list[float] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
        tell_row(pl_module, {"train/count": LARGE + trainer.global_step})
        self.metrics.append(trainer.callback_metrics["train/count"].item())

    def on_validation_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        tell_values(pl_module, {"eval/count": LARGE})


class Notes(pl.loggers.logger.DummyLogger):
    """Keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[dict[str, float], int | None]] = []

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.rows.append((dict(metrics), step))


def test_each_row_reaches_loggers_once_and_callbacks_in_full_precision(
    make_trainer, make_data, make_module
) -> None:
    tells, notes = Tells(), Notes()
    trainer = make_trainer(
        callbacks=[EMATargetNetwork(tau=0.1), tells],
        logger=notes,
        limit_val_batches=1.0,
        log_every_n_steps=1,
    )
    trainer.fit(make_module(), make_data())
    told = [(row["train/count"], step) for row, step in notes.rows if "train/count" in row]
    assert told == [(LARGE + step, step) for step in (1, 2, 3)]
    assert tells.metrics == [LARGE + step for step in (1, 2, 3)]
    assert [row["eval/count"] for row, _ in notes.rows if "eval/count" in row] == [LARGE]
    assert trainer.callback_metrics["eval/count"].item() == LARGE


def test_without_a_logger_values_are_results_all_the_same_and_nothing_warns(
    make_trainer, make_data, make_module
) -> None:
    trainer = make_trainer(callbacks=[EMATargetNetwork(tau=0.1), Tells()], limit_val_batches=1.0)
    module, data = make_module(), make_data()
    trainer.fit(module, data)
    [results] = trainer.validate(module, data, verbose=False)
    assert results["eval/count"] == LARGE
