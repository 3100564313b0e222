"""Environments in processes: what is said when one fails, dies or hangs, and that none is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import psutil
import pytest
from support.faulty_env import FaultyEnv

from lightning_dqn.collecting.collector import Collector
from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.environments.workers import WorkerError, WorkerVectorEnv

TESTS = Path(__file__).parent.parent


@pytest.fixture
def make_workers() -> Iterator[Callable[..., WorkerVectorEnv]]:
    """A function that makes a worker for each setting of ``FaultyEnv``, closed in the end."""
    made: list[WorkerVectorEnv] = []

    def make(*settings: dict[str, Any], timeout: float | None = 20.0) -> WorkerVectorEnv:
        makers = [partial(FaultyEnv, **one) for one in settings]
        workers = WorkerVectorEnv(makers, name="Faulty", timeout=timeout)
        made.append(workers)
        return workers

    yield make
    for workers in made:
        workers.close()
        assert not any(process.is_alive() for process in workers.processes)


def step(workers: WorkerVectorEnv) -> Any:
    return workers.step(np.zeros(workers.num_envs, np.int64))


def go_on(workers: WorkerVectorEnv) -> None:
    for _ in range(10):
        workers.reset()
        step(workers)


def test_they_step_as_environments_in_turn_do(make_workers):
    workers = make_workers({}, {})
    in_turn = gym.vector.SyncVectorEnv([FaultyEnv] * 2)
    for mine, twin in zip(workers.reset(seed=[3, 8]), in_turn.reset(seed=[3, 8]), strict=True):
        np.testing.assert_equal(mine, twin)
    for _ in range(7):
        for mine, twin in zip(step(workers), in_turn.step(np.zeros(2, np.int64)), strict=True):
            np.testing.assert_equal(mine, twin)


@pytest.mark.parametrize("fault", ["raise", "exit", "kill", "terminate"])
@pytest.mark.parametrize("when", ["step", "reset"])
def test_a_fault_names_worker_and_cause_and_ends_all(make_workers, fault, when):
    workers = make_workers({}, {"fault": fault, "when": when, "at": 1}, {})
    workers.reset()
    with pytest.raises(WorkerError) as caught:
        go_on(workers)
    expected = {
        "raise": "Faulty: environment 1 raised RuntimeError: simulator lost its licence",
        "exit": "Faulty: the worker of environment 1 ended with exit code 3",
        "kill": "Faulty: the worker of environment 1 was ended by SIGKILL, as the system does "
        "where memory runs out",
        "terminate": "Faulty: the worker of environment 1 was ended by SIGTERM",
    }
    assert str(caught.value) == expected[fault]
    if fault == "raise":
        assert "faulty_env.py" in "".join(caught.value.__notes__), "where in the environment"
    assert not any(process.is_alive() for process in workers.processes)


def test_an_error_that_can_not_be_passed_on_is_told_as_such(make_workers, monkeypatch):
    monkeypatch.setattr("lightning_dqn.environments.workers.CLOSING_SECONDS", 0.5)
    workers = make_workers({"fault": "unpicklable", "at": 1}, {})
    workers.reset()
    with pytest.raises(WorkerError, match="environment 0 raised an error that can't be pickled"):
        go_on(workers)


def test_a_worker_that_died_between_two_calls_is_found_at_the_next(make_workers):
    workers = make_workers({}, {})
    workers.reset()
    os.kill(workers.processes[0].pid, signal.SIGKILL)
    workers.processes[0].join()
    with pytest.raises(WorkerError, match="environment 0 was ended by SIGKILL"):
        step(workers)


def test_one_of_gymnasiums_own_workers_that_dies_is_named_too_and_none_is_left():
    given = gym.vector.AsyncVectorEnv([partial(FaultyEnv, fault="kill", at=2), FaultyEnv])
    collector = Collector(given, EnvironmentFactory(FaultyEnv).spec)
    with pytest.raises(WorkerError, match="AsyncVectorEnv: the worker of environment 0 was ended"):
        collector.collect(None, 100)
    assert not any(process.is_alive() for process in given.processes)
    given.close()


@pytest.mark.parametrize("when", ["step", "reset", "make"])
def test_a_worker_that_hangs_is_given_up(make_workers, when):
    began = time.monotonic()
    with pytest.raises(WorkerError, match=r"environment 1 didn't answer in 1\.5 seconds"):
        go_on(make_workers({}, {"fault": "hang", "when": when, "at": 1}, timeout=1.5))
    assert time.monotonic() - began < 15


@pytest.mark.parametrize(("fault", "text"), [("raise", "lost its licence"), ("exit", "code 3")])
def test_a_worker_that_can_not_be_made_says_why(make_workers, fault, text):
    # The first one is made here, to be described; the worker's is another.
    with pytest.raises(WorkerError, match=f"environment 1 .*{text}|{text}"):
        make_workers({}, {"fault": fault, "when": "make"})


def test_closing_does_not_wait_for_one_that_hangs(make_workers, monkeypatch):
    monkeypatch.setattr("lightning_dqn.environments.workers.CLOSING_SECONDS", 0.5)
    workers = make_workers({}, {"fault": "hang", "when": "step", "at": 1})
    workers.reset()
    workers.step_async(np.zeros(2, np.int64))
    began = time.monotonic()
    workers.close()
    assert time.monotonic() - began < 5
    assert not any(process.is_alive() for process in workers.processes)


def test_a_worker_ends_by_sigterm_whatever_its_trainer_does_with_it(make_workers):
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        workers = make_workers({}, {})
    finally:
        signal.signal(signal.SIGTERM, before)
    workers.reset()
    workers.processes[1].terminate()
    workers.processes[1].join(5)
    assert workers.processes[1].exitcode == -signal.SIGTERM


def test_workers_end_with_their_trainer_even_one_that_hangs():
    code = (
        "from functools import partial\n"
        "import numpy as np\n"
        "from support.faulty_env import FaultyEnv\n"
        "from lightning_dqn.environments.workers import WorkerVectorEnv\n"
        "hangs = partial(FaultyEnv, fault='hang', when='step', at=1)\n"
        "workers = WorkerVectorEnv([FaultyEnv, hangs, FaultyEnv], name='Faulty', timeout=None)\n"
        "workers.reset()\n"
        "print(*(process.pid for process in workers.processes), flush=True)\n"
        "workers.step(np.zeros(3, np.int64))\n"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=TESTS) as trainer:
        assert trainer.stdout is not None
        pids = [int(pid) for pid in trainer.stdout.readline().split()]
        trainer.kill()
    assert len(pids) == 3
    deadline = time.monotonic() + 10
    while any(psutil.pid_exists(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = [pid for pid in pids if psutil.pid_exists(pid)]
    assert [psutil.Process(pid).status() for pid in left] in ([], ["zombie"] * len(left))


@pytest.mark.parametrize("timeout", [0, -1.0])
def test_a_timeout_that_means_nothing_is_refused(timeout):
    with pytest.raises(ValueError, match=r"^worker_timeout="):
        EnvironmentFactory(FaultyEnv, worker_timeout=timeout)


def test_the_factory_makes_them_with_its_timeout():
    factory = EnvironmentFactory(
        FaultyEnv,
        num_envs=2,
        vectorization="async",
        kwargs={"fault": "hang", "when": "step", "at": 1},
        worker_timeout=1,
    )
    workers = factory.make()
    workers.reset()
    workers.step(np.zeros(2, np.int64))
    with pytest.raises(
        WorkerError, match="FaultyEnv: environments 0, 1 didn't answer in 1 seconds"
    ):
        workers.step(np.zeros(2, np.int64))
