"""Rows reach loggers as they are and callbacks in full precision."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
from support.threaded_ranks import in_ranks

from lightning_dqn.callbacks import EMATargetNetwork
from lightning_dqn.reporting.telling import tell_row, tell_values
from lightning_dqn.system.ranks import Ranks

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
    # 16 env steps of warm-up, then 8 an iteration.
    assert told == [(LARGE + i, 16 + 8 * i) for i in (1, 2, 3)]
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


def test_rows_do_not_let_a_warning_come_again(make_trainer, make_data, make_module):
    class Warns(pl.Callback):
        def on_train_batch_end(self, *_: Any) -> None:
            warnings.warn("each time the same", UserWarning, stacklevel=1)

    trainer = make_trainer(
        callbacks=[EMATargetNetwork(tau=0.1), Warns()], log_every_n_steps=1, max_epochs=2
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        trainer.fit(make_module(), make_data())
    assert [str(one.message) for one in caught].count("each time the same") == 1


@pytest.fixture
def fit(make_trainer, make_data, make_module):
    """A function that fits two epochs of 3 iterations: module, Trainer and the rows it logged."""

    def run(*callbacks: pl.Callback, env_steps_per_iteration: int = 8, **arguments: Any) -> Any:
        notes = Notes()
        trainer = make_trainer(
            callbacks=[EMATargetNetwork(tau=0.1), *callbacks],
            **{
                "logger": notes,
                "limit_val_batches": 1.0,
                "log_every_n_steps": 2,
                "max_epochs": 2,
                **arguments,
            },
        )
        module = make_module()
        data = make_data(
            env_steps_per_iteration=env_steps_per_iteration,
            env_steps_per_epoch=3 * env_steps_per_iteration,
        )
        trainer.fit(module, data)
        return module, data, trainer, notes.rows

    return run


class Measures(pl.Callback):
    """Logs a value of its own in validation, by Lightning's own means."""

    logs_metrics = True

    def on_validation_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        pl_module.log("mine/value", 7.0)


def test_rows_of_training_and_evaluation_have_env_steps_as_their_step(fit) -> None:
    module, data, trainer, rows = fit(Measures())
    assert [(row["time/env_steps"], step) for row, step in rows] == [
        (32, 32),
        (40, 40),
        (48, 48),
        (64, 64),
        (64, 64),
    ]
    evaluations = [row for row, _ in rows if "eval/episode_return" in row]
    assert [row["mine/value"] for row in evaluations] == [7.0, 7.0], "others' values with them"
    assert all("step" not in row for row, _ in rows)
    trainer.test(module, data, verbose=False)
    assert rows[-1][1] == 64
    assert "test/episode_return" in rows[-1][0]


def test_a_checkpoint_between_evaluations_is_named_by_its_own_step(fit, tmp_path) -> None:
    saves = pl.callbacks.ModelCheckpoint(tmp_path, every_n_epochs=1, save_top_k=-1)
    _, _, trainer, _ = fit(saves, enable_checkpointing=True)
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["epoch=0-step=3", "epoch=1-step=6"]
    assert "step" not in trainer.callback_metrics


def test_a_checkpoint_of_an_evaluation_within_an_epoch_is_named_by_env_steps(fit, tmp_path) -> None:
    saves = pl.callbacks.ModelCheckpoint(
        tmp_path, monitor="eval/episode_return", mode="max", save_top_k=-1
    )
    fit(saves, enable_checkpointing=True, val_check_interval=2)
    # After the second iteration of each epoch.
    assert sorted(path.stem for path in tmp_path.iterdir()) == [
        "epoch=0-step=32",
        "epoch=1-step=56",
    ]


def test_what_users_log_in_training_has_env_steps_where_they_say_so(fit) -> None:
    class Logs(pl.Callback):
        def __init__(self, says_so: bool) -> None:
            self.says_so = says_so

        def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
            pl_module.log("mine/value", 7.0)
            if self.says_so:
                pl_module.log("step", float(pl_module.env_steps))

    def steps(says_so: bool) -> list[int | None]:
        _, _, _, rows = fit(Logs(says_so), limit_val_batches=0)
        return [step for row, step in rows if "mine/value" in row]

    assert steps(False) == [1, 3, 5]
    assert steps(True) == [32, 48, 64]


def test_a_progress_bar_shows_loss_and_returns_which_lie_on_the_cpu(fit) -> None:
    shown: list[dict[str, Any]] = []

    class Bar(pl.callbacks.TQDMProgressBar):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
            super().on_train_batch_end(trainer, pl_module, *args)
            shown.append(self.get_metrics(trainer, pl_module))

    _, _, trainer, _ = fit(
        Bar(), enable_progress_bar=True, logger=False, env_steps_per_iteration=160
    )
    assert "train/loss" not in shown[0], "the first row comes with the second iteration"
    assert isinstance(shown[1]["train/loss"], float)
    assert {"train/loss", "rollout/episode_return", "eval/episode_return"} <= shown[-1].keys()
    assert all(value.device.type == "cpu" for value in trainer.callback_metrics.values())


def test_without_logging_nothing_is_told_and_nothing_warns(fit) -> None:
    off = {"enable_progress_bar": None, "enable_checkpointing": None, "num_sanity_val_steps": None}
    plain = {"enable_model_summary": None, "logger": None, "log_every_n_steps": None}
    module, _, trainer, _ = fit(barebones=True, **off, **plain)
    assert module.updates == 24
    assert trainer.callback_metrics == {}


def test_a_test_stands_at_the_end_of_training_whichever_weights_it_is_of(
    make_trainer, make_data, make_module, tmp_path
) -> None:
    notes = Notes()
    first = pl.callbacks.ModelCheckpoint(tmp_path, save_top_k=-1, save_on_train_epoch_end=True)
    trainer = make_trainer(
        callbacks=[EMATargetNetwork(tau=0.1), first],
        logger=notes,
        enable_checkpointing=True,
        log_every_n_steps=1,
        max_epochs=2,
    )
    module, data = make_module(), make_data()
    trainer.fit(module, data)
    trained = module.env_steps
    path = min(tmp_path.glob("*.ckpt"), key=lambda one: int(one.stem.rpartition("=")[2]))
    trainer.test(module, data, ckpt_path=path, verbose=False)
    assert module.env_steps < trained
    [(row, step)] = [(row, step) for row, step in notes.rows if "test/episode_return" in row]
    assert row["time/env_steps"] == step == trained


def test_a_test_alone_stands_where_its_weights_do(
    make_trainer, make_data, make_module, tmp_path
) -> None:
    notes = Notes()
    trainer = make_trainer(callbacks=[EMATargetNetwork(tau=0.1)], logger=notes, log_every_n_steps=1)
    trainer.fit(make_module(), make_data())
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    alone, module = make_trainer(logger=notes), make_module()
    alone.test(module, make_data(), ckpt_path=tmp_path / "a.ckpt", verbose=False)
    row, step = notes.rows[-1]
    assert row["time/env_steps"] == step == module.env_steps > 0


def test_of_an_evaluation_all_ranks_have_what_the_first_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Ranks, "of", lambda trainer: trainer.ranks)

    def tell(ranks: Ranks) -> list[Any]:
        told: list[Any] = []
        takes = SimpleNamespace(take_row=lambda module, row: told.append(dict(row)))
        module = SimpleNamespace(
            trainer=SimpleNamespace(ranks=ranks, barebones=False, callbacks=[takes]),
            log_dict=lambda values, **_: told.append({k: float(v) for k, v in values.items()}),
        )
        tell_values(module, {"eval/found": 3.0 + ranks.rank})
        return told

    for told in in_ranks(2, tell):
        assert told == [{"eval/found": 3.0}, {"eval/found": 3.0}, {}]
