"""W&B's server fails while a run goes on: no step waits, the run ends, and nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.csv_rows import csv_rows, wandb_rows
from support.short_runs import small_run
from support.wandb_records import history, read_records
from support.wandb_server import Outage, WandbServer, wandb_server
from support.wandb_session import end_session, wandb_session

OUTAGES = [
    "drops",
    pytest.param("stalls", marks=pytest.mark.slow),
    pytest.param("errors", marks=pytest.mark.slow),
]
FINISH_SECONDS = 2
SETTINGS = "logger.wandb.settings"
QUICK = (
    "logger=wandb",
    "trainer.max_epochs=10",
    "test=false",
    f"+{SETTINGS}.x_file_stream_transmit_interval=0.01",
    f"+{SETTINGS}.x_file_stream_retry_wait_min_seconds=0.05",
    f"+{SETTINGS}.x_file_stream_retry_wait_max_seconds=0.1",
)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    with wandb_session(tmp_path / "home") as patch:
        yield patch


def _run(folder: Path, server: WandbServer, session: pytest.MonkeyPatch, *more: str) -> Any:
    with wandb_server(server):
        for name, value in server.environment.items():
            session.setenv(name, value)
        small_run(folder, *QUICK, *more)
        server.released.set()
        end_session()
    return json.loads((folder / "summary.json").read_text())


@pytest.mark.parametrize("outage", OUTAGES)
def test_a_run_ends_in_time_while_the_server_is_out(
    outage: Outage, session: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Training takes a second; one request that is waited for would make it many."""
    server = WandbServer(outage)
    folder = tmp_path / "run"
    summary = _run(folder, server, session, f"+{SETTINGS}.finish_timeout={FINISH_SECONDS}")
    assert server.refused > 0
    assert server.history() == []
    assert summary["seconds"] < 15
    assert summary["wall_seconds"] < 15 + FINISH_SECONDS + 15
    rows = csv_rows(folder)
    assert len(rows) > 20
    # All lies on disk, for `wandb sync`.
    [directory] = (folder / "wandb").glob("run-*")
    assert wandb_rows(history(read_records(directory))) == rows


@pytest.mark.parametrize("outage", OUTAGES)
def test_a_server_that_recovers_receives_every_row(
    outage: Outage, session: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    patience = f"+{SETTINGS}.x_file_stream_timeout_seconds=1"  # of a request that is held
    server = WandbServer(outage, outage_requests=2)
    folder = tmp_path / "run"
    _run(folder, server, session, patience)
    assert server.refused == 2
    assert wandb_rows(server.history()) == csv_rows(folder)
    assert server.exit_code() == 0
