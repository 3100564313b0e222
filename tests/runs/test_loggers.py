"""What loggers are told of a run: its configuration once, its rows, its labels and its end."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import yaml
from omegaconf import DictConfig
from support.csv_rows import csv_rows, wandb_rows
from support.short_runs import small_config, small_run
from support.wandb_records import config, exit_codes, history, read_records
from support.wandb_server import WandbServer, wandb_server
from support.wandb_session import end_session, wandb_session

from lightning_dqn.runs import loggers as module
from lightning_dqn.runs.changes import CHANGES
from lightning_dqn.runs.compose import Composer
from lightning_dqn.runs.experiment import Experiment, prepare
from lightning_dqn.runs.keys import flat
from lightning_dqn.runs.loggers import task_overrides
from lightning_dqn.runs.run import run
from lightning_dqn.runs.secrets import without_secrets
from lightning_dqn.safekeeping.signals import Stopped
from lightning_dqn.system.faults import NonFiniteError

OFFLINE = ("logger=wandb", "logger.wandb.offline=true", "seed=3")
FIRST_IS_BEST = (
    "callbacks.best_checkpoint.monitor=train/updates",
    "callbacks.best_checkpoint.mode=min",
)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    with wandb_session(tmp_path / "home") as patch:
        yield patch


def _records(folder: Path) -> list[Any]:
    end_session()
    [directory] = (folder / "wandb").glob("offline-run-*")
    return read_records(directory)


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any], DictConfig]:
    """An offline run whose first checkpoint is the best, and what W&B recorded."""
    root = tmp_path_factory.mktemp("offline")
    overrides = (*OFFLINE, *FIRST_IS_BEST, "notes=a note", "tags=[a]")
    with wandb_session(root / "home") as patch:
        patch.setattr(module, "changes", lambda: "a patch\n")
        small_run(root / "run", *overrides)
        return root / "run", _records(root / "run"), small_config(root / "run", *overrides)


def test_wandb_records_the_rows_of_the_csv_file_value_by_value(
    offline: tuple[Path, list[Any], DictConfig],
) -> None:
    folder, records, _ = offline
    rows = wandb_rows(history(records))
    assert rows == csv_rows(folder)
    assert {key.partition("/")[0] for row in rows for key in row} == {
        *("train", "rollout", "time", "eval", "test")
    }


def test_the_test_stands_at_the_end_of_training_though_its_weights_are_earlier(
    offline: tuple[Path, list[Any], DictConfig],
) -> None:
    folder, _, _ = offline
    *before, test = csv_rows(folder)
    assert "test/episode_return" in test
    env_steps = [row["time/env_steps"] for row in before]
    assert test["time/env_steps"] == env_steps[-1] == max(env_steps)
    summary = yaml.safe_load((folder / "summary.json").read_text())
    assert summary["tested_env_steps"] < summary["env_steps"] == test["time/env_steps"]
    steps = [line.partition(",") for line in (folder / "metrics.csv").read_text().splitlines()]
    assert len(steps) == len(before) + 2


def test_the_configuration_is_whole_and_stands_there_once(
    offline: tuple[Path, list[Any], DictConfig],
) -> None:
    folder, records, composed = offline
    told = without_secrets(composed)
    received = config(records)
    received.pop("_wandb")
    assert received == told
    assert received["environment"]["id"] == "CartPole-v1"
    assert {"num_envs", "wrappers"} <= received["environment"].keys()
    assert not received.keys() & {"double", "network", "head", "target"}
    assert yaml.safe_load((folder / "hparams.yaml").read_text()) == told


def test_what_a_run_was_asked_for_has_nothing_of_where_it_lies() -> None:
    asked = ["seed=1", "ckpt_path=/a/last.ckpt", "run_dir=/a", "notes=${oc.env:NO}", "seed=2"]
    with Composer(asked) as composer:
        composer.config()
        assert task_overrides() == ("seed=2", "notes=${oc.env:NO}")


def test_a_run_is_labelled_and_ends_well(offline: tuple[Path, list[Any], DictConfig]) -> None:
    folder, records, _ = offline
    [first, *_] = [record.run for record in records if record.HasField("run")]
    assert (first.display_name, first.run_group) == ("small seed=3", "small")
    assert (first.job_type, first.notes, list(first.tags)) == ("train", "a note", ["a"])
    assert exit_codes(records) == [0]
    assert (folder / "wandb" / "latest-run" / "files" / CHANGES).read_text() == "a patch\n"
    saved = [item.path for record in records for item in record.files.files]
    assert CHANGES in saved


def test_a_server_receives_the_rows_of_the_csv_file_value_by_value(
    session: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with wandb_server(WandbServer()) as server:
        for name, value in server.environment.items():
            session.setenv(name, value)
        small_run(tmp_path / "run", "logger=wandb")
    rows = wandb_rows(server.history())
    assert rows == csv_rows(tmp_path / "run")
    assert "test/episode_return" in rows[-1]
    assert server.exit_code() == 0
    [first, *_] = server.upserts()
    assert first["name"] == (tmp_path / "run" / "wandb_id.txt").read_text().strip()
    told = without_secrets(small_config(tmp_path / "run", "logger=wandb"))
    assert dict(flat(server.config())) == {k: v for k, v in flat(told) if v != {}}  # W&B drops it
    assert (first["displayName"], first["jobType"]) == ("small seed=0", "train")


class _Breaks(pl.Callback):
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        raise self.error


def _broken(folder: Path, error: BaseException, *overrides: str) -> Experiment:
    experiment = prepare(small_config(folder, *OFFLINE, *overrides))
    experiment.trainer.callbacks.append(_Breaks(error))  # type: ignore[attr-defined]
    return experiment


@pytest.mark.parametrize(
    ("error", "code", "alerts"),
    [
        (NonFiniteError("update 7 was not finite"), 1, ["NonFiniteError: update 7 was not finite"]),
        (Stopped(signal.SIGTERM), 143, []),
    ],
)
def test_a_run_that_ends_otherwise_is_not_shown_as_finished(
    error: BaseException,
    code: int,
    alerts: list[str],
    session: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    with pytest.raises(type(error)):
        run(_broken(tmp_path, error, "logger.wandb.alert=true"))
    records = _records(tmp_path)
    assert exit_codes(records) == [code]
    assert [one.alert.text for one in records if one.HasField("alert")] == alerts


def test_a_run_that_begins_after_one_that_failed_is_another(
    session: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(RuntimeError, match="first"):
        run(_broken(tmp_path / "first", RuntimeError("first")))
    small_run(tmp_path / "second", *OFFLINE, "test=false")
    ids = [(tmp_path / name / "wandb_id.txt").read_text() for name in ("first", "second")]
    assert len(set(ids)) == 2
    assert exit_codes(_records(tmp_path / "second")) == [0]


# The command line keeps this from the terminal.
@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")
def test_a_continued_run_is_one_run_with_one_id(
    session: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    small_run(tmp_path, *OFFLINE, "test=false")
    before = len(csv_rows(tmp_path))
    checkpoint = tmp_path / "checkpoints" / "last.ckpt"
    again = (f"ckpt_path='{checkpoint}'", "trainer.max_epochs=3")
    run(prepare(small_config(tmp_path, *OFFLINE, *again)))
    end_session()
    first, second = map(read_records, sorted((tmp_path / "wandb").glob("offline-run-*")))
    ids = {one.run.run_id for one in (*first, *second) if one.HasField("run")}
    assert ids == {(tmp_path / "wandb_id.txt").read_text().strip()}
    rows = wandb_rows([*history(first), *history(second)])
    assert rows == csv_rows(tmp_path)
    assert len(rows) > before


def test_a_module_alone_has_its_hyperparameters_told(
    session: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As under a Trainer of the user's own, where no configuration is told."""
    from lightning_dqn.reporting.wandb_logger import WandbLogger

    experiment = prepare(small_config(tmp_path, "trainer.max_epochs=1", "test=false"))
    logger = WandbLogger(save_dir=tmp_path, offline=True)
    experiment.trainer.loggers = [logger]
    experiment.trainer.fit(experiment.module, experiment.data)
    logger.end()
    assert config(_records(tmp_path)).keys() >= {"network", "head", "target", "max_gradient_norm"}
