"""Two ranks by the command line: they learn as one, end together, and go on as if never ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from support.interrupted_runs import QUICK, has_rows, interrupt, start
from support.processes import SHORT, command
from support.resumed_runs import differences

from lightning_dqn.replay.archive import FOLDER
from lightning_dqn.replay.segments import load
from lightning_dqn.safekeeping.rank_files import KEY, own_files

TWO = ("trainer.devices=2", "trainer.strategy=ddp", "hydra.run.dir=run")
SECONDS = 30.0
"""In which all processes must have ended, on a busy machine too."""

LONG = 1_500.0
"""Seconds for a run, two processes of which each imports all, on a busy machine."""

ARCHIVED = (
    "data.replay.storage=memmap",
    "data.replay.capacity=6_000_000",
    "data/sampler=prioritized",
    "data.collection.overlap=true",
)
"""Rings too large for a checkpoint, whose rows lie beside it, and all else that could interfere."""


@pytest.fixture(autouse=True)
def on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the processes talk by the loopback alone."""
    if sys.platform == "linux":
        monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")


def without_names(path: Path) -> dict[str, Any]:
    """Return a checkpoint, or a rank's own file, without what names others by chance."""
    found: dict[str, Any] = torch.load(path, weights_only=True)
    found.pop(KEY, None)
    replay = found["ReplayDataModule"]["replay"]
    if "segments" in replay:  # which end where a run was saved
        ring = ReadRing()
        load(path.parent / FOLDER, replay.pop("segments"), ring)
        replay["rows"] = {name: torch.cat(parts) for name, parts in ring.columns.items()}
    return found


class ReadRing:
    """Takes all rows that are written beside a checkpoint."""

    num_times = total_times = times_stored = 10**9

    def __init__(self) -> None:
        self.columns: dict[str, list[torch.Tensor]] = {}

    def write_times(self, first: int, columns: Mapping[str, torch.Tensor]) -> None:
        for name, column in columns.items():
            self.columns.setdefault(name, []).append(column.clone())

    def read_times(self, first: int, end: int) -> Mapping[str, torch.Tensor]:
        raise AssertionError("nothing is written")


def assert_same(one: Path, other: Path) -> None:
    """See that two runs came to the same, in the second rank too."""
    names = [run / "checkpoints" / "last.ckpt" for run in (one, other)]
    newest = [max(own_files(name, 1), key=lambda file: file.stat().st_mtime) for name in names]
    for pair in (names, newest):
        first, second = map(without_names, pair)
        found = [
            difference
            for difference in differences(first, second)
            if "seconds" not in difference and "ModelCheckpoint" not in difference
        ]
        assert found == []


def children_of(process: subprocess.Popen[str]) -> list[int]:
    """Return the processes that one started and that are still there."""
    told = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(number) for number in told.split()]


@pytest.mark.timeout(1_800)
def test_two_ranks_learn_and_one_of_them_tells(tmp_path: Path) -> None:
    result = command(*SHORT, "environment.id=CartPole-v1", *TWO, cwd=tmp_path, timeout=LONG)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("trained") == 1
    assert "on cpu of each of 2 ranks" in result.stdout + result.stderr
    run = tmp_path / "run"
    summary = json.loads((run / "summary.json").read_text())
    assert summary["env_steps"] >= 64 + 256
    assert summary["episodes"] == 2
    assert summary["updates"] == 32
    assert len(own_files(run / "checkpoints" / "last.ckpt", 1)) == 1
    saved = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    own = torch.load(own_files(run / "checkpoints" / "last.ckpt", 1)[0], weights_only=True)
    steps = [one["ReplayDataModule"]["collector"]["env_steps"] for one in (saved, own)]
    assert saved["dqn"]["env_steps"] == sum(steps) == summary["env_steps"]
    seen = [one["ReplayDataModule"]["collector"]["actor"]["observation"] for one in (saved, own)]
    assert seen[0].shape == seen[1].shape == (4, 4)
    assert not torch.equal(*seen), "each has environments of its own"


@pytest.mark.slow
@pytest.mark.timeout(5_400)
def test_a_signal_to_one_ends_both_and_the_run_goes_on_exactly(tmp_path: Path) -> None:
    stop_and_continue(tmp_path)
    folder = tmp_path / "stopped"
    fewer = ("trainer.devices=1", "trainer.strategy=auto")
    one = command("resume", "run", *fewer, cwd=folder, timeout=LONG)
    assert one.returncode == 2
    assert (
        "saved by 2 ranks, each with its part of the replay ring, and there would be 1"
        in one.stderr
    )
    assert "Traceback" not in one.stderr


@pytest.mark.slow
@pytest.mark.timeout(5_400)
def test_rings_beside_the_checkpoint_are_saved_by_each_and_go_on_exactly(tmp_path: Path) -> None:
    stop_and_continue(tmp_path, *ARCHIVED)
    for place in ("", "rank1"):
        folder = tmp_path / "stopped" / "run" / "checkpoints" / place / FOLDER
        assert any(folder.glob("segment_*.bin")), folder


def stop_and_continue(tmp_path: Path, *own: str) -> None:
    """See that a run of two ranks, stopped and continued, comes to what one that wasn't does."""
    for name in ("unbroken", "stopped"):
        (tmp_path / name).mkdir()
    result = command(*QUICK, *TWO, *own, cwd=tmp_path / "unbroken", timeout=LONG)
    assert result.returncode == 0, result.stderr
    folder = tmp_path / "stopped"
    process = start(folder, *QUICK, *TWO, *own)
    ended = interrupt(process, has_rows(folder / "run", 40), signal.SIGTERM)
    assert ended.status == 128 + signal.SIGTERM, ended.output
    assert ended.seconds < SECONDS
    assert ended.output.count("stopped by SIGTERM; all is saved in run/checkpoints/last.ckpt") == 1
    assert "Traceback" not in ended.output
    result = command("resume", "run", cwd=folder, timeout=LONG)
    assert result.returncode == 0, result.stderr
    assert_same(folder / "run", tmp_path / "unbroken" / "run")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds processes by /proc")
@pytest.mark.timeout(5_400)
def test_a_killed_rank_ends_all_with_a_word_and_the_run_goes_on(tmp_path: Path) -> None:
    process = start(tmp_path, *QUICK, *TWO)
    rows = has_rows(tmp_path / "run", 120)
    until = time.monotonic() + LONG
    while not rows():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until
        time.sleep(0.05)
    [other] = children_of(process)
    os.kill(other, signal.SIGKILL)
    since = time.monotonic()
    output, _ = process.communicate(timeout=300)
    assert time.monotonic() - since < SECONDS
    assert process.returncode == 1
    assert "rank 0 of 2: another process of the run is gone or answers no more" in output
    assert "Traceback" not in output
    result = command("resume", "run", cwd=tmp_path, timeout=LONG)
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds processes by /proc")
@pytest.mark.timeout(5_400)
def test_the_others_end_with_a_word_where_the_first_is_killed(tmp_path: Path) -> None:
    process = start(tmp_path, *QUICK, *TWO, "trainer.max_epochs=-1")
    others: list[int] = []

    def has_begun() -> bool:
        others[:] = children_of(process) if has_rows(tmp_path / "run", 20)() else []
        return bool(others)

    ended = interrupt(process, has_begun, signal.SIGKILL)
    assert ended.status == -signal.SIGKILL
    assert ended.output.count("rank 1 of 2: another process of the run is gone") == 1
    assert "Traceback" not in ended.output
    until = time.monotonic() + SECONDS
    while any(Path(f"/proc/{one}/cmdline").exists() for one in others):
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.timeout(5_400)
def test_torchrun_starts_them_in_a_folder_that_is_named(tmp_path: Path) -> None:
    launcher = ("--nproc-per-node=2", "--rdzv-backend=c10d", "--rdzv-endpoint=127.0.0.1:0")
    torchrun = (*launcher, "-m", "lightning_dqn", *SHORT, "environment.id=CartPole-v1")
    result = command(*torchrun, *TWO, cwd=tmp_path, module="torch.distributed.run", timeout=LONG)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "run" / "summary.json").is_file()
    result = command(
        *torchrun, *TWO[:2], cwd=tmp_path, module="torch.distributed.run", timeout=LONG
    )
    assert "hydra.run.dir: each process that torchrun or SLURM started" in result.stderr


@pytest.mark.slow
@pytest.mark.timeout(5_400)
def test_each_job_of_a_sweep_has_two_ranks_of_its_own(tmp_path: Path) -> None:
    own = (*SHORT, "environment.id=CartPole-v1", *TWO[:2])
    lr = "module.optimizer.lr=0.001,0.01"
    result = command("-m", *own, lr, "hydra.sweep.dir=sweep", cwd=tmp_path, timeout=LONG)
    assert result.returncode == 0, result.stderr
    jobs = sorted(path.parent for path in (tmp_path / "sweep").glob("*/summary.json"))
    assert len(jobs) == 2
    for job, rate in zip(jobs, (0.001, 0.01), strict=True):
        checkpoint = job / "checkpoints" / "last.ckpt"
        assert len(own_files(checkpoint, 1)) == 1
        saved = torch.load(checkpoint, weights_only=True)
        assert saved["optimizer_states"][0]["param_groups"][0]["lr"] == rate


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds processes by /proc")
@pytest.mark.timeout(5_400)
def test_a_signal_before_learning_ends_all_and_is_told(tmp_path: Path) -> None:
    process = start(tmp_path, *QUICK, *TWO)
    ended = interrupt(process, lambda: bool(children_of(process)), signal.SIGTERM)
    assert ended.status == 128 + signal.SIGTERM
    assert ended.output.count("stopped by SIGTERM; nothing was learned yet") == 1
    assert "Traceback" not in ended.output
