"""The W&B logger: what W&B receives."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.logged_fit import logged_fit
from support.wandb_records import (
    config,
    exit_codes,
    history,
    read_records,
    step_metrics,
    summary,
)
from support.wandb_server import WandbServer, known_run, wandb_server
from support.wandb_session import end_session, wandb_session

from lightning_dqn.reporting.wandb_logger import WandbLogger
from lightning_dqn.safekeeping.signals import Stopped


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    """An account-less user in an empty home, and a W&B session of its own."""
    with wandb_session(tmp_path / "home") as patch:
        yield patch


def _run_dir(logger: WandbLogger) -> Path:
    return Path(logger.experiment.dir).parent


def _finish(logger: WandbLogger) -> list[Any]:
    """End the run and W&B's service, whose end writes out the file, and read it."""
    directory = _run_dir(logger)
    logger.end()
    end_session()
    return read_records(directory)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Any]]:
    """Records of an offline run under a real Trainer."""
    root = tmp_path_factory.mktemp("fitted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(root))
        patch.setenv("WANDB__DISABLE_STATS", "true")
        patch.setenv("WANDB_ERROR_REPORTING", "false")
        labels: dict[str, Any] = {"tags": ["dqn", "cartpole"], "group": "seeds", "project": "p"}
        logger = WandbLogger("name", save_dir=root / "run", offline=True, version="v1", **labels)
        logger.log_hyperparams({"gamma": 0.99, "network": {"layers": [120, 84]}})
        logged_fit(logger, root)
        logger.log_metrics({"learning_rate": 0.1})
        yield _finish(logger)


def test_wandb_receives_every_row_with_its_env_steps(fitted: list[Any]) -> None:
    rows = history(fitted)
    train = [(row["time/env_steps"], row["train/loss"]) for row in rows if "train/loss" in row]
    assert train == [(10, 0), (20, 1), (30, 2), (40, 0), (50, 1), (60, 2)]
    evaluations = [row for row in rows if "eval/return" in row]
    assert [(row["time/env_steps"], row["eval/return"]) for row in evaluations] == [
        (30, 100),
        (60, 100),
    ]


def test_a_row_without_env_steps_gets_the_last_ones(fitted: list[Any]) -> None:
    (row,) = [row for row in history(fitted) if "learning_rate" in row]
    assert row["time/env_steps"] == 60


def test_env_steps_are_the_x_axis_of_every_metric(fitted: list[Any]) -> None:
    axes = step_metrics(fitted)
    assert axes["*"] == "time/env_steps"
    assert set(axes.values()) <= {"", "time/env_steps"}
    (last,) = [r.metric for r in fitted if r.HasField("metric") and r.metric.glob_name == "*"][-1:]
    assert last.options.step_sync
    assert "time/env_steps" in axes


def test_wandb_receives_config_tags_and_names(fitted: list[Any]) -> None:
    received = config(fitted)
    assert received["gamma"] == pytest.approx(0.99)
    assert received["network"] == {"layers": [120, 84]}
    run = next(record.run for record in fitted if record.HasField("run"))
    assert list(run.tags) == ["dqn", "cartpole"]
    assert (run.project, run.run_group, run.display_name) == ("p", "seeds", "name")
    assert run.run_id == "v1"


def test_records_longer_than_a_block_are_read_back(
    outside: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    logger = WandbLogger(save_dir=tmp_path, offline=True)
    logger.log_hyperparams({"long": "x" * 100_000})
    for step in range(300):
        logger.log_metrics({"time/env_steps": step, "text": "y" * 300}, step)  # type: ignore[dict-item]
    records = _finish(logger)
    assert config(records)["long"] == "x" * 100_000
    assert [row["time/env_steps"] for row in history(records)] == list(range(300))
    run = next(record.run for record in records if record.HasField("run"))
    assert run.project == "lightning-dqn"


def test_a_run_in_progress_also_gets_env_steps_as_x_axis(
    outside: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import wandb

    wandb.init(dir=tmp_path, mode="offline", settings=wandb.Settings(silent=True))
    with pytest.warns(UserWarning, match="already in progress"):
        records = _finish(WandbLogger(save_dir=tmp_path))
    assert step_metrics(records)["*"] == "time/env_steps"


VARIABLES = {
    "WANDB_NAME": "a name",
    "WANDB_NOTES": "a note",
    "WANDB_TAGS": "b,c",
    "WANDB_RUN_GROUP": "a group",
    "WANDB_JOB_TYPE": "a job",
    "WANDB_RUN_ID": "an-id",
}


def _run(records: list[Any]) -> Any:
    return next(record.run for record in records if record.HasField("run"))


def _described(run: Any) -> tuple[str, ...]:
    return (run.display_name, run.notes, run.run_group, run.job_type, run.run_id, *run.tags)


def _describing(tmp_path: Path, **arguments: Any) -> WandbLogger:
    (tmp_path / "id.txt").write_text("kept")
    logger = WandbLogger(save_dir=tmp_path, offline=True, id_path=tmp_path / "id.txt", **arguments)
    logger.describe(name="n", group="g", job_type="train", commit="f" * 40)
    return logger


def test_the_variables_of_wandb_hold_for_what_no_argument_says(
    outside: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in VARIABLES.items():
        outside.setenv(name, value)
    run = _run(_finish(_describing(tmp_path, tags=["a", "b"])))
    assert _described(run) == ("a name", "a note", "a group", "a job", "an-id", "a", "b", "c")
    assert (tmp_path / "id.txt").read_text() == "an-id\n"


def test_no_other_text_than_an_id_is_told_or_kept(
    outside: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "id.txt"
    path.write_text("a secret = 1\n")
    logger = WandbLogger(save_dir=tmp_path, offline=True, id_path=path)
    with pytest.raises(ValueError, match=r"id\.txt: holds no id of a W&B run; delete it"):
        logger.experiment  # noqa: B018
    named = WandbLogger(save_dir=tmp_path, offline=True, id_path=path, version="x = y")
    assert named.experiment.id == "x = y"
    _finish(named)
    assert path.read_text() == "a secret = 1\n"


def test_arguments_hold_before_the_variables(outside: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in VARIABLES.items():
        outside.setenv(name, value)
    given = {"notes": "my note", "group": "my group", "job_type": "my job", "version": "my-id"}
    run = _run(_finish(_describing(tmp_path, name="my name", **given)))
    assert _described(run)[:5] == ("my name", "my note", "my group", "my job", "my-id")


def test_a_run_is_what_it_is_described_as_where_nobody_says_otherwise(
    outside: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = _run(_finish(_describing(tmp_path)))
    assert _described(run) == ("n", "", "g", "train", "kept")
    assert (run.git.commit, run.git.remote_url) == ("f" * 40, "")


def test_the_summary_has_the_best_and_the_last_of_what_has_a_best(
    outside: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    logger = WandbLogger(save_dir=tmp_path, offline=True)
    for env_steps, value in ((10, 1.0), (20, 3.0), (30, 2.0)):
        row = {"eval/episode_return": value, "eval/q_rmse": value, "train/loss": value}
        logger.log_metrics({**row, "time/env_steps": env_steps}, step=env_steps)
    records = _finish(logger)
    found = summary(records)
    assert found["eval/episode_return"] == {"max": 3.0, "last": 2.0}
    assert found["eval/q_rmse"] == {"min": 1.0, "last": 2.0}
    assert found["train/loss"] == 2.0
    assert set(step_metrics(records).values()) <= {"", "time/env_steps"}


def test_a_label_is_added_once_to_those_of_a_run_that_has_begun(
    outside: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    logger = _describing(tmp_path, tags=["a"])
    assert list(logger.experiment.tags) == ["a"]
    for _ in range(2):
        logger.tag("changed-by-hand")
    runs = [record.run for record in _finish(logger) if record.HasField("run")]
    assert list(runs[-1].tags) == ["a", "changed-by-hand"]


def test_an_alert_is_sent_of_an_error_where_it_is_asked_for(
    outside: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for asked, expected in ((True, [("r failed", "RuntimeError: the pole is gone")]), (False, [])):
        logger = WandbLogger("r", save_dir=tmp_path / str(asked), offline=True, alert=asked)
        directory = _run_dir(logger)
        logger.end(RuntimeError("the pole is gone\nand more"))
        logger.end()  # a second end is none
        end_session()
        records = read_records(directory)
        alerts = [record.alert for record in records if record.HasField("alert")]
        assert [(alert.title, alert.text) for alert in alerts] == expected
        assert exit_codes(records) == [1]


@pytest.mark.parametrize(
    ("error", "code", "is_preempted"),
    [
        (None, 0, False),
        (Stopped(signal.SIGINT), 130, False),
        (Stopped(signal.SIGTERM), 143, True),
        (Stopped(signal.SIGUSR1), 128 + signal.SIGUSR1, True),
        (KeyboardInterrupt(), 130, False),
        (SystemExit(3), 3, False),
    ],
)
def test_how_a_run_ended_is_told_and_a_stop_alarms_nobody(
    error: BaseException | None,
    code: int,
    is_preempted: bool,
    outside: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    logger = WandbLogger(save_dir=tmp_path, offline=True, alert=True)
    directory = _run_dir(logger)
    logger.end(error)
    end_session()
    records = read_records(directory)
    assert exit_codes(records) == [code]
    assert any(record.HasField("preempting") for record in records) == is_preempted
    assert not any(record.HasField("alert") for record in records)


def test_a_logger_that_never_started_has_nothing_to_end(
    outside: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    WandbLogger(save_dir=tmp_path / "run", offline=True).end(RuntimeError())
    assert not (tmp_path / "run").exists()


def test_a_run_that_goes_on_keeps_its_id_and_sends_no_row_twice(
    outside: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "id.txt").write_text("kept\n")
    with wandb_server(WandbServer(known=known_run(rows=3, env_steps=30))) as server:
        for name, value in server.environment.items():
            outside.setenv(name, value)
        logger = WandbLogger(save_dir=tmp_path, id_path=tmp_path / "id.txt")
        logger.rewind(10, 5)
        logger.log_metrics({"learning_rate": 0.1}, step=20)
        for env_steps in (20, 30, 40, 10):  # the last as of another fit
            logger.log_metrics({"time/env_steps": env_steps, "train/loss": 0.5}, step=env_steps)
        logger.end()
    assert [row["time/env_steps"] for row in server.history()] == [40, 10]
    assert {one["name"] for one in server.upserts()} == {"kept"}


def test_a_run_that_goes_on_where_it_was_saved_sends_all(
    outside: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Offline, where nobody knows what W&B has; and of a run that W&B doesn't know."""
    logger = WandbLogger(save_dir=tmp_path, offline=True)
    logger.rewind(10, 5)
    for env_steps in (20, 30):
        logger.log_metrics({"time/env_steps": env_steps}, step=env_steps)
    assert [row["time/env_steps"] for row in history(_finish(logger))] == [20, 30]
