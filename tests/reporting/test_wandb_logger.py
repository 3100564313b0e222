"""The W&B logger: what W&B receives, and when it goes offline by itself."""

from __future__ import annotations

import gzip
import json
import logging
import os
import pty
import shlex
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from support.logged_fit import logged_fit
from support.wandb_records import config, history, read_records, step_metrics

from lightning_dqn.reporting import wandb_connection, wandb_start
from lightning_dqn.reporting.wandb_logger import WandbLogger

_KEY = "a" * 40
_CLOSED = "http://127.0.0.1:9"


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """An account-less user in an empty home, and a W&B session of its own."""
    for name in list(os.environ):
        if name.startswith("WANDB_") or name.lower().endswith("_proxy") or name == "NETRC":
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WANDB__DISABLE_STATS", "true")  # a sampler of hardware that looks around
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")  # as the logger does; restored here
    yield monkeypatch
    import wandb

    wandb.finish()
    wandb.teardown()


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


# --- W&B: what it receives ---------------------------------------------------------------------


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


# --- W&B: online or offline --------------------------------------------------------------------

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
    assert float(process.stdout) < 5
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
    outside.setenv("WANDB_API_KEY", _KEY)
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
        outside.setenv("WANDB_API_KEY", _KEY)
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
            assert arguments["settings"].api_key == _KEY  # so that W&B has nothing to ask for
            raise getattr(errors, error)("no such\nentity")
        return init(**arguments)

    outside.setattr(wandb, "init", failing_once)
    outside.setattr(wandb_start, "can_connect", lambda place: True)
    outside.setenv("WANDB_API_KEY", _KEY)
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
    outside.setenv("WANDB_API_KEY", _KEY)
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


class _Server(BaseHTTPRequestHandler):
    """As much of a W&B server as a run needs to be online; remembers what it was sent."""

    protocol_version = "HTTP/1.1"
    received: list[tuple[str, bytes, str | None]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
        self.received.append((self.path, body, self.headers.get("Authorization")))
        answer = json.dumps({"data": self._answer(body)}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def _answer(self, body: bytes) -> dict[str, Any]:
        project = {"name": "p", "entity": {"name": "e"}}
        bucket = {"id": "r", "name": "r", "displayName": "r", "project": project}
        if b"UpsertBucket" in body:
            return {"upsertBucket": {"bucket": bucket, "inserted": True}}
        files = {"runID": "r", "uploadHeaders": [], "files": []}
        return {"createRunFiles": files} if b"CreateRunFiles" in body else {}

    do_GET = do_PUT = do_POST

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[tuple[str, list[Any]]]:
    _Server.received = []
    with ThreadingHTTPServer(("127.0.0.1", 0), _Server) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}", _Server.received
        http.shutdown()


@pytest.mark.parametrize("place", ["environment", "netrc", "settings"])
def test_with_a_key_and_a_host_the_run_is_online(
    place: str,
    outside: pytest.MonkeyPatch,
    tmp_path: Path,
    server: tuple[str, list[Any]],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    url, received = server
    outside.setenv("WANDB_BASE_URL", url)
    _store_key(place, url, Path(os.environ["HOME"]), outside)
    logger = WandbLogger(save_dir=tmp_path / "new")
    logger.log_metrics({"time/env_steps": 30, "train/loss": 0.5}, step=1)
    logger.experiment.finish()
    said = capfd.readouterr().err
    assert "View run" in said
    assert "WARNING" not in said  # W&B's word about a directory that does not exist
    assert not _run_dir(logger).name.startswith("offline")
    assert _warnings(caplog) == []
    streamed = b"".join(body for path, body, _ in received if path.endswith("file_stream"))
    assert rb"\"train/loss\":0.5" in streamed
    assert rb"\"time/env_steps\":30" in streamed
    assert all(authorization for path, _, authorization in received if path == "/graphql")


def _store_key(place: str, url: str, home: Path, patch: pytest.MonkeyPatch) -> None:
    if place == "environment":
        patch.setenv("WANDB_API_KEY", _KEY)
    elif place == "netrc":
        home.mkdir()
        (home / ".netrc").write_text(f"machine {url[7:]}\n  login user\n  password {_KEY}\n")
        (home / ".netrc").chmod(0o600)
    else:
        (home / ".config" / "wandb").mkdir(parents=True)
        (home / ".config" / "wandb" / "settings").write_text(f"[default]\napi_key = {_KEY}\n")


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


def test_a_netrc_key_of_another_host_is_not_taken(
    outside: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "netrc"
    outside.setenv("NETRC", str(path))
    path.write_text(f"machine api.wandb.ai\n  login user\n  password {_KEY}\n")
    assert wandb_connection.key_in_netrc("https://wandb.example.org") is None
    assert wandb_connection.key_in_netrc("https://api.wandb.ai") == _KEY
    assert wandb_connection.key_in_netrc("https://api.forge.coreweave.com") == _KEY
    path.write_text("no netrc at all\n")
    assert wandb_connection.key_in_netrc("https://api.wandb.ai") is None


def test_a_name_lookup_that_hangs_does_not_hold_up_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wait = threading.Event()

    def hanging(*_: Any) -> Any:
        wait.wait(30)
        raise OSError

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    start = time.monotonic()
    assert not wandb_connection.can_connect(("wandb.example.org", 443), seconds=0.2)
    assert time.monotonic() - start < 1
    wait.set()


class _Settings:
    def __init__(self, base_url: str, https_proxy: str | None = None) -> None:
        self.base_url, self.https_proxy = base_url, https_proxy


@pytest.mark.parametrize(
    ("url", "proxy", "environment", "expected"),
    [
        ("https://w.example.org", None, {}, ("w.example.org", 443)),
        ("http://w.example.org:8080", None, {}, ("w.example.org", 8080)),
        ("https://w.example.org", "http://own:1", {"https_proxy": "http://px:3"}, ("own", 1)),
        ("https://w.example.org", None, {"https_proxy": "http://px:3128"}, ("px", 3128)),
        ("https://w.example.org", None, {"https_proxy": "px:3128"}, ("px", 3128)),
        (
            "https://w.example.org",
            None,
            {"https_proxy": "http://px", "no_proxy": "example.org"},
            ("w.example.org", 443),
        ),
        ("http://localhost:8080", None, {"http_proxy": "http://px:3128"}, ("localhost", 8080)),
    ],
)
def test_the_address_tried_is_the_server_or_its_proxy(
    url: str,
    proxy: str | None,
    environment: dict[str, str],
    expected: tuple[str, int],
    outside: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        outside.setenv(name, value)
    assert wandb_connection.address(_Settings(url, proxy)) == expected  # type: ignore[arg-type]
