"""Fits with workers leave neither a process nor an open file, whether they end well or not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.faulty_env import FaultyEnv

from lightning_dqn import (
    DQN,
    CollectionConfig,
    EnvironmentFactory,
    EvaluationConfig,
    ReplayDataModule,
)
from lightning_dqn.environments.worker_faults import WorkerError, WorkerRestarted

TESTS = Path(__file__).parent.parent


def fit(make_trainer: Any, *, overlap: bool, restarts: int = 10, **fault: Any) -> None:
    environment = EnvironmentFactory(
        partial(FaultyEnv, **fault),
        num_envs=2,
        vectorization="async",
        max_worker_restarts=restarts,
    )
    data = ReplayDataModule(
        environment,
        batch_size=4,
        env_steps_per_iteration=8,
        env_steps_per_epoch=48,
        collection=CollectionConfig(warmup_env_steps=16, overlap=overlap),
        evaluation=EvaluationConfig(num_envs=2),
    )
    module = DQN(
        environment,
        network=[{"Linear": 4}],
        compile=False,
        target={"double": False, "slow_copy": False},
    )
    make_trainer(limit_val_batches=1.0).fit(module, data)


@pytest.fixture
def open_now() -> Callable[[], tuple[int, set[psutil.Process]]]:
    """Counts open files, and the processes started since the test began and theirs.

    Another test's browser may run beside, and starts and ends processes of its own as it likes.
    """
    others = set(psutil.Process().children())

    def now() -> tuple[int, set[psutil.Process]]:
        started = set(psutil.Process().children()) - others
        below = {child for process in started for child in process.children(recursive=True)}
        return len(os.listdir("/proc/self/fd")), started | below

    return now


@pytest.mark.parametrize("overlap", [False, True])
def test_three_fits_in_a_row_leave_nothing(make_trainer, open_now, overlap):
    fit(make_trainer, overlap=overlap)  # opens what stays open for good
    before = open_now()
    for _ in range(3):
        fit(make_trainer, overlap=overlap)
        assert open_now() == before


@pytest.mark.parametrize("overlap", [False, True])
def test_fits_with_restarts_leave_nothing(make_trainer, open_now, overlap, tmp_path):
    fit(make_trainer, overlap=overlap)
    before = open_now()
    with pytest.warns(WorkerRestarted):
        fit(make_trainer, overlap=overlap, fault="exit", at=20, once=str(tmp_path / "once"))
    assert open_now() == before


@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("fault", ["exit", "raise", "nan reward", "scalar"])
def test_fits_that_end_by_a_fault_leave_nothing(make_trainer, open_now, overlap, fault):
    fit(make_trainer, overlap=overlap)
    before = open_now()
    for _ in range(3):
        with pytest.raises((WorkerError, ValueError)):
            fit(make_trainer, overlap=overlap, restarts=0, fault=fault, at=20)
        assert open_now() == before


@pytest.mark.parametrize("fault", ["hang", "hang in C"])
@pytest.mark.parametrize("when", ["step", "make"])
def test_workers_end_with_their_trainer_whatever_they_are_doing(fault, when):
    code = (
        "from functools import partial\n"
        "import sys, numpy as np\n"
        "from support.faulty_env import FaultyEnv\n"
        "from lightning_dqn.environments import worker, workers\n"
        "before = worker.Worker.__init__\n"
        "def noted(self, *args):\n"
        "    before(self, *args)\n"
        "    print(self.process.pid, flush=True)\n"
        "worker.Worker.__init__ = noted\n"
        f"hangs = partial(FaultyEnv, fault={fault!r}, when={when!r}, at=1)\n"
        "made = workers.WorkerVectorEnv([FaultyEnv, hangs, FaultyEnv], name='F', timeout=None)\n"
        "made.reset()\n"
        "made.step(np.zeros(3, np.int64))\n"
        "print('stepped', flush=True)\n"
        "made.step(np.zeros(3, np.int64))\n"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=TESTS) as trainer:
        assert trainer.stdout is not None
        pids = [int(trainer.stdout.readline()) for _ in range(3)]
        if when == "step":
            assert trainer.stdout.readline() == b"stepped\n"
        time.sleep(0.5)  # now it hangs
        assert all(psutil.pid_exists(pid) for pid in pids)
        trainer.kill()
    deadline = time.monotonic() + 5
    while any(map(_lives, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = [pid for pid in pids if _lives(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_workers_outlive_the_thread_that_started_them():
    code = (
        "import threading, time, numpy as np\n"
        "from support.faulty_env import FaultyEnv\n"
        "from lightning_dqn.environments.workers import WorkerVectorEnv\n"
        "made = []\n"
        "def make(): made.append(WorkerVectorEnv([FaultyEnv], name='F', max_restarts=0))\n"
        "thread = threading.Thread(target=make)\n"
        "thread.start(); thread.join(); time.sleep(0.5)\n"
        "made[0].reset(); made[0].step(np.zeros(1, np.int64)); made[0].close()\n"
        "print('fine')\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=TESTS, capture_output=True, text=True, timeout=60
    )
    assert result.stdout == "fine\n", result.stderr
