"""A W&B run is online or offline by itself, and says which in one line."""

from __future__ import annotations

import logging
import os
import pty
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.wandb_records import history, read_records
from support.wandb_server import KEY, WandbServer, wandb_server
from support.wandb_session import wandb_session

from lightning_dqn.reporting import wandb_start
from lightning_dqn.reporting.wandb_logger import WandbLogger

_CLOSED = "http://127.0.0.1:9"


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    """An account-less user in an empty home, and a W&B session of its own."""
    with wandb_session(tmp_path / "home") as patch:
        yield patch


def _warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == wandb_start.__name__]


def _run_dir(logger: WandbLogger) -> Path:
    return Path(logger.experiment.dir).parent


def _start_timed(logger: WandbLogger) -> float:
    start = time.monotonic()
    assert logger.experiment is not None
    return time.monotonic() - start


def _assert_offline_line(line: str, logger: WandbLogger, reason: str) -> None:
    """The one line says why, where, and a command that names a directory that can be synced."""
    directory = _run_dir(logger)
    assert reason in line
    assert "offline" in line
    assert shlex.split(line.split("upload with: ")[1]) == ["wandb", "sync", str(directory)]
    assert directory.is_absolute()
    assert directory.name.startswith("offline-run-")
    assert list(directory.glob("*.wandb"))
    assert "\n" not in line


def _finish(logger: WandbLogger) -> list[Any]:
    """End the run and W&B's service, whose end writes out the file, and read it."""
    import wandb

    directory = _run_dir(logger)
    logger.experiment.finish()
    wandb.teardown()
    return read_records(directory)


_WITHOUT_KEY = """
import sys, time
from lightning_dqn.reporting.wandb_logger import WandbLogger
assert "wandb" not in sys.modules, "imported before a logger is made"
start = time.monotonic()
logger = WandbLogger(save_dir="runs")
logger.log_metrics({"time/env_steps": 1}, 0)
logger.experiment.finish()
print(time.monotonic() - start)
"""


def test_on_a_terminal_without_a_key_a_process_says_one_line_and_never_asks(
    outside: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """W&B asks for a login where stdin and stderr are terminals."""
    main, side = pty.openpty()
    process = subprocess.run(
        [sys.executable, "-W", "error", "-c", _WITHOUT_KEY],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=side,
        stdout=subprocess.PIPE,
        stderr=side,
        timeout=60,
        check=False,
    )
    os.close(side)
    said = os.read(main, 100_000).decode()
    os.close(main)
    assert process.returncode == 0, said
    (line,) = said.strip().splitlines()
    assert "no API key was found" in line
    assert float(process.stdout) < 30, "a whole process on a busy machine; asking never ends"
    (directory,) = (tmp_path / "runs" / "wandb").glob("offline-run-*")
    assert line.endswith(f"wandb sync {directory.resolve()}")
    assert history(read_records(directory)) == [{"time/env_steps": 1, "trainer/global_step": 0}]


def test_without_a_key_and_stdin_the_run_is_offline_in_one_line(
    outside: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    outside.setattr(sys, "stdin", None)  # what Python makes of a closed stdin
    logger = WandbLogger(save_dir=tmp_path)
    assert _start_timed(logger) < 5
    (line,) = _warnings(caplog)
    _assert_offline_line(line, logger, "no API key was found")
    _finish(logger)
    assert capfd.readouterr() == ("", "")


def test_an_unreachable_host_means_offline_in_one_line(
    outside: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outside.setenv("WANDB_BASE_URL", _CLOSED)
    outside.setenv("WANDB_API_KEY", KEY)
    logger = WandbLogger(save_dir=tmp_path / "a folder", log_model=True)
    assert _start_timed(logger) < 5
    (line,) = _warnings(caplog)
    _assert_offline_line(line, logger, f"{_CLOSED} cannot be reached")
    assert "; log_model is off)" in line
    assert logger._log_model is False


def test_a_host_that_never_answers_means_offline_in_one_line(
    outside: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        outside.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        outside.setenv("WANDB_API_KEY", KEY)
        outside.setattr(wandb_start, "_INIT_SECONDS", 1.0)
        logger = WandbLogger(save_dir=tmp_path)
        assert _start_timed(logger) < 3
        (line,) = _warnings(caplog)
        _assert_offline_line(line, logger, "W&B failed: ")
        logger.log_metrics({"time/env_steps": 7, "train/loss": 0.5}, step=1)
        assert history(_finish(logger))[0]["train/loss"] == 0.5


@pytest.mark.parametrize("error", ["CommError", "UsageError"])
def test_an_error_of_wandb_means_one_more_try_offline(
    error: str, outside: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import wandb
    from wandb import errors

    init, modes = wandb.init, []

    def failing_once(**arguments: Any) -> Any:
        modes.append(arguments["mode"])
        if len(modes) == 1:
            assert arguments["settings"].api_key == KEY  # so that W&B has nothing to ask for
            raise getattr(errors, error)("no such\nentity")
        return init(**arguments)

    outside.setattr(wandb, "init", failing_once)
    outside.setattr(wandb_start, "can_connect", lambda place: True)
    outside.setenv("WANDB_API_KEY", KEY)
    logger = WandbLogger(save_dir=tmp_path)
    _start_timed(logger)
    assert modes == [None, "offline"]
    (line,) = _warnings(caplog)
    _assert_offline_line(line, logger, "W&B failed: no such")


@pytest.mark.parametrize("error", ["CommError", "UsageError"])
def test_an_error_offline_is_raised(
    error: str, outside: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import wandb
    from wandb import errors

    def failing(**arguments: Any) -> Any:
        raise getattr(errors, error)("bad argument")

    outside.setattr(wandb, "init", failing)
    with pytest.raises(getattr(errors, error), match="bad argument"):
        _start_timed(WandbLogger(save_dir=tmp_path))


@pytest.mark.parametrize("how", ["argument", "environment"])
def test_offline_on_request_needs_no_warning(
    how: str, outside: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if how == "environment":
        outside.setenv("WANDB_MODE", "offline")
    outside.setenv("WANDB_API_KEY", KEY)
    logger = WandbLogger(save_dir=tmp_path, offline=how == "argument")
    caplog.set_level(logging.INFO, wandb_start.__name__)
    assert _run_dir(logger).name.startswith("offline-run-")
    (record,) = [record for record in caplog.records if record.name == wandb_start.__name__]
    assert record.levelno == logging.INFO
    _assert_offline_line(record.getMessage(), logger, "as asked")
    assert os.environ.get("WANDB_MODE") == ("offline" if how == "environment" else None)


@pytest.mark.parametrize("offline", [False, True])
def test_wandb_mode_disabled_writes_nothing(
    offline: bool, outside: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outside.setenv("WANDB_MODE", "disabled")
    logger = WandbLogger(save_dir=tmp_path / "run", offline=offline)
    logger.log_hyperparams({"gamma": 0.99})
    logger.log_metrics({"time/env_steps": 1, "train/loss": 0.5}, step=1)
    logger.finalize("success")
    assert not list(tmp_path.rglob("*.wandb"))
    assert _warnings(caplog) == []


@pytest.mark.parametrize("log_model", [True, "all"])
def test_log_model_offline_is_turned_off_with_one_line(
    log_model: Any, outside: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from pytorch_lightning.callbacks import ModelCheckpoint

    logger = WandbLogger(save_dir=tmp_path, offline=True, log_model=log_model)
    assert _start_timed(logger) < 5
    (line,) = _warnings(caplog)
    assert "; log_model is off)" in line
    (tmp_path / "last.ckpt").write_bytes(b"weights")
    checkpoint = ModelCheckpoint(dirpath=tmp_path)
    checkpoint.best_model_path = str(tmp_path / "last.ckpt")
    logger.after_save_checkpoint(checkpoint)
    logger.finalize("success")
    assert not [record for record in _finish(logger) if record.HasField("artifact")]


@pytest.mark.parametrize("place", ["environment", "netrc", "settings"])
def test_with_a_key_and_a_host_the_run_is_online(
    place: str,
    outside: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with wandb_server(WandbServer()) as server:
        outside.setenv("WANDB_BASE_URL", server.url)
        _store_key(place, server.url, Path(os.environ["HOME"]), outside)
        logger = WandbLogger(save_dir=tmp_path / "new")
        logger.log_metrics({"time/env_steps": 30, "train/loss": 0.5}, step=1)
        logger.end()
    said = capfd.readouterr().err
    assert "View run" in said
    assert "WARNING" not in said  # W&B's word about a directory that does not exist
    assert not _run_dir(logger).name.startswith("offline")
    assert _warnings(caplog) == []
    (row,) = server.history()
    assert (row["time/env_steps"], row["train/loss"]) == (30, 0.5)
    assert server.exit_code() == 0
    assert all(authorization for path, _, authorization in server.requests if path == "/graphql")


def _store_key(place: str, url: str, home: Path, patch: pytest.MonkeyPatch) -> None:
    if place == "environment":
        patch.setenv("WANDB_API_KEY", KEY)
    elif place == "netrc":
        home.mkdir()
        (home / ".netrc").write_text(f"machine {url[7:]}\n  login user\n  password {KEY}\n")
        (home / ".netrc").chmod(0o600)
    else:
        (home / ".config" / "wandb").mkdir(parents=True)
        (home / ".config" / "wandb" / "settings").write_text(f"[default]\napi_key = {KEY}\n")


def test_reports_of_errors_to_wandb_are_off_unless_asked_for(
    outside: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With reports on, a process whose host never answers takes 20 s to end (measured)."""
    outside.delenv("WANDB_ERROR_REPORTING")
    WandbLogger(save_dir=tmp_path)
    assert os.environ["WANDB_ERROR_REPORTING"] == "false"
    outside.setenv("WANDB_ERROR_REPORTING", "true")
    WandbLogger(save_dir=tmp_path)
    assert os.environ["WANDB_ERROR_REPORTING"] == "true"
