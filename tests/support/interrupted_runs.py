"""Runs by the command line that get a signal, wherever they are by then."""

from __future__ import annotations

import csv
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch

from support.resumed_runs import differences

QUICK = (
    "seed=7",
    "trainer.max_epochs=3",
    "trainer.accelerator=cpu",
    "trainer.log_every_n_steps=1",
    "trainer.enable_progress_bar=false",
    "environment.num_envs=4",
    "module.network.hidden=[8]",
    "module.compile=false",
    "data.batch_size=8",
    "data.env_steps_per_epoch=6400",
    "data.collection.warmup_env_steps=64",
    "data.evaluation.num_envs=2",
    "test=false",
)
"""A run of some seconds."""


class Ended(NamedTuple):
    """How a process ended, what it said, and how long after the signal."""

    status: int
    output: str
    seconds: float


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a command in ``folder``."""
    return subprocess.Popen(
        [sys.executable, "-m", "lightning_dqn", *arguments],
        cwd=folder,
        preexec_fn=hear_ctrl_c,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def hear_ctrl_c() -> None:
    """Hear it in a new process: what runs the tests in the background may have switched it off."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def interrupt(
    process: subprocess.Popen[str],
    when: Callable[[], bool],
    number: int,
    *,
    then_wait: float = 0.0,
    again: bool = False,
) -> Ended:
    """Send a signal when something has come about, and see the process end.

    Args:
        process: that runs.
        when: tells whether it has come about.
        number: of the signal.
        then_wait: seconds to wait before.
        again: send it once more, half a second later.
    """
    deadline = time.monotonic() + 900
    while not when():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.02)
    time.sleep(then_wait)
    os.kill(process.pid, number)
    since = time.monotonic()
    if again:
        time.sleep(0.5)
        os.kill(process.pid, number)
    output, _ = process.communicate(timeout=300)
    return Ended(process.returncode, output, time.monotonic() - since)


def scontrol(folder: Path) -> str:
    """Return a ``PATH`` with a ``scontrol`` that adds what it is told to a folder's ``asked``."""
    program = folder / "scontrol"
    program.write_text(f"#!/bin/sh\necho $@ >> {folder}/asked\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def has_rows(run: Path, number: int) -> Callable[[], bool]:
    """Return what tells whether a run has logged so many rows."""
    path = run / "metrics.csv"
    return lambda: path.is_file() and path.read_text().count("\n") > number


def differences_of_runs(one: Path, other: Path) -> list[str]:
    """Return in what two runs differ: their last checkpoints and their rows of metrics."""
    first, second = (
        torch.load(run / "checkpoints" / "last.ckpt", weights_only=True) for run in (one, other)
    )
    found = [
        difference
        for difference in differences(first, second)
        if "report/seconds" not in difference and "ModelCheckpoint" not in difference
    ]
    return [*found, *differences(_rows(one), _rows(other), "rows")]


def _rows(run: Path) -> list[list[str]]:
    """Return the rows of training and evaluation without what a clock says."""
    with (run / "metrics.csv").open(newline="") as file:
        rows = [{k: v for k, v in row.items() if v} for row in csv.DictReader(file)]
    return [
        sorted(f"{key}={value}" for key, value in row.items() if not key.endswith("per_second"))
        for row in rows
        if not any(key.startswith("test/") for key in row)
    ]


SIGNALS = {
    "SIGTERM": signal.SIGTERM,
    "SIGINT": signal.SIGINT,
    "SIGUSR1": signal.SIGUSR1,
    "SIGHUP": signal.SIGHUP,
}
