"""Environments in processes: one that fails, dies or hangs is replaced, and none is left over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import psutil
import pytest
from support.faulty_env import FaultyEnv

from lightning_dqn.collecting.collector import Collector
from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.environments.grade import read_states, write_states
from lightning_dqn.environments.state import UnknownStateError
from lightning_dqn.environments.worker_faults import RESTARTED, WorkerError, WorkerRestarted
from lightning_dqn.environments.workers import WorkerVectorEnv
from lightning_dqn.system.seeding import seed_of

CAUSES = {
    "raise": "environment 1 raised RuntimeError: simulator lost its licence",
    "unpicklable": "environment 1 raised LocalError: ",
    "exit": "environment 1 lost its worker, which ended with exit code 3",
    "kill": "environment 1 lost its worker, which was ended by SIGKILL, as the system does "
    "where memory runs out",
    "hang": "environment 1 didn't answer in 1 seconds (if it may take longer, set "
    "environment.worker_timeout=<seconds>)",
}


others: list[psutil.Process] = []
"""Children of this process before a test: other tests' browsers, as it were."""


def children() -> list[psutil.Process]:
    """Return those that a test has started."""
    found = psutil.Process().children(recursive=True)
    return [child for child in found if child not in others]


@pytest.fixture(scope="module")
def _kept() -> None:
    """Open what multiprocessing keeps for good: a piece of memory, and what removes it."""
    WorkerVectorEnv([FaultyEnv], name="Faulty").close()


@pytest.fixture(autouse=True)
def _nothing_is_left(_kept: None) -> Iterator[None]:
    """After each test there are as many open files as before, and no child."""
    before = len(os.listdir("/proc/self/fd"))
    others.extend(psutil.Process().children(recursive=True))
    yield
    assert children() == []
    others.clear()
    assert len(os.listdir("/proc/self/fd")) <= before


@pytest.fixture
def make_workers() -> Iterator[Callable[..., WorkerVectorEnv]]:
    """A function that makes a worker for each setting of ``FaultyEnv``, closed in the end."""
    made: list[WorkerVectorEnv] = []

    def make(*settings: dict[str, Any], timeout: float | None = 20.0, **other: Any) -> Any:
        makers = [partial(FaultyEnv, **one) for one in settings]
        workers = WorkerVectorEnv(makers, name="Faulty", timeout=timeout, **other)
        made.append(workers)
        return workers

    yield make
    for workers in made:
        workers.close()


def step(workers: WorkerVectorEnv) -> Any:
    return workers.step(np.zeros(workers.num_envs, np.int64))


def go_on(workers: WorkerVectorEnv) -> None:
    for _ in range(10):
        workers.reset()
        step(workers)


def seconds_of(fault: str) -> float:
    return 1.0 if "hang" in fault else 20.0


# --- without a fault


def test_they_step_as_environments_in_turn_do(make_workers):
    workers = make_workers({}, {})
    in_turn = gym.vector.SyncVectorEnv([FaultyEnv] * 2)
    for mine, twin in zip(workers.reset(seed=[3, 8]), in_turn.reset(seed=[3, 8]), strict=True):
        np.testing.assert_equal(mine, twin)
    for _ in range(9):
        for mine, twin in zip(step(workers), in_turn.step(np.zeros(2, np.int64)), strict=True):
            np.testing.assert_equal(mine, twin)


def test_methods_are_called_and_attributes_read_and_set_in_each(make_workers):
    workers = make_workers({"length": 5}, {"length": 7})
    workers.reset(seed=3)
    assert workers.get_attr("length") == (5, 7)
    workers.set_attr("length", [2, 4])
    assert workers.call("get_wrapper_attr", "length") == (2, 4)
    workers.set_attr("length", 9)
    assert workers.get_attr("length") == (9, 9)
    assert workers.get_attr("seed") == (3, 4)


@pytest.mark.parametrize("call", [lambda w: w.reset(seed=[1]), lambda w: w.set_attr("length", [1])])
def test_a_list_of_another_length_is_refused(make_workers, call):
    with pytest.raises(ValueError, match="one for each of 2"):
        call(make_workers({}, {}))


def test_environments_of_another_kind_than_the_first_are_refused():
    makers = [FaultyEnv, partial(gym.make, "CartPole-v1")]
    with pytest.raises(ValueError, match="Mixed: environment 1 has other observations or actions"):
        WorkerVectorEnv(makers, name="Mixed")


# --- a fault that is got over


@pytest.mark.parametrize("fault", CAUSES)
def test_a_worker_with_a_fault_is_replaced_alone(make_workers, fault, tmp_path):
    faulty = {"fault": fault, "at": 4, "once": str(tmp_path / "once"), "length": 20}
    workers = make_workers({"length": 20}, faulty, {"length": 20}, timeout=seconds_of(fault))
    others = make_workers({"length": 20}, {"length": 20}, {"length": 20})
    workers.reset(seed=[3, 8, 5])
    others.reset(seed=[3, 8, 5])
    pids = [process.pid for process in workers.processes]
    for _ in range(4):
        before = step(workers)[0]
        step(others)
    workers.observations[1] = 99.0  # a worker may end in the midst of writing
    with pytest.warns(WorkerRestarted) as caught:
        observation, reward, terminated, truncated, info = step(workers)
    [warning] = [one for one in caught if one.category is WorkerRestarted]
    assert str(warning.message) == (
        f"Faulty: {CAUSES[fault]}; its episode was cut and its worker restarted, restart 1 of 10 "
        "at most"
    )
    np.testing.assert_equal(observation[1], before[1])
    assert reward.tolist() == [1, 0, 1]
    assert truncated.tolist() == info[RESTARTED].tolist() == [False, True, False]
    assert not terminated.any()
    twin = step(others)
    np.testing.assert_equal(observation[::2], twin[0][::2])
    assert workers.num_restarts == 1
    for _ in range(3):
        mine, twin = step(workers), step(others)
        np.testing.assert_equal(mine[0][::2], twin[0][::2])
    assert mine[1].tolist() == [1, 1, 1]
    left = [process.pid for process in workers.processes]
    assert left[::2] == pids[::2]
    assert left[1] != pids[1]
    assert not psutil.pid_exists(pids[1])


def test_the_episode_after_a_restart_begins_by_a_seed_of_its_own(make_workers, tmp_path):
    workers = make_workers({}, {"fault": "exit", "at": 1, "once": str(tmp_path / "once")})
    workers.reset(seed=[3, 8])
    step(workers)
    with pytest.warns(WorkerRestarted):
        step(workers)
    _, reward, _, truncated, info = step(workers)
    assert workers.get_attr("seed")[1] == seed_of(8, "restart", 1, 1) >> 1
    assert reward[1] == 0
    assert not truncated.any()
    assert RESTARTED not in info
    assert workers.get_attr("time")[1] == 0
    assert step(workers)[1][1] == 1


def test_two_restarts_of_a_worker_have_different_seeds(make_workers):
    workers = make_workers({"fault": "exit", "at": 1, "length": 50})
    workers.reset(seed=[3])
    seeds = []
    for _ in range(3):
        step(workers)
        with pytest.warns(WorkerRestarted):
            step(workers)
        step(workers)
        seeds.append(workers.get_attr("seed")[0])
    assert len(set(seeds)) == 3


@pytest.mark.parametrize("fault", ["raise", "kill", "hang"])
def test_a_fault_between_two_episodes_begins_the_next_one_at_once(make_workers, fault, tmp_path):
    faulty = {"fault": fault, "when": "reset", "at": 1, "once": str(tmp_path / "once")}
    workers = make_workers({}, faulty, timeout=seconds_of(fault) / 5)
    workers.reset(seed=[3, 8])
    for _ in range(3):
        _, _, terminated, _, _ = step(workers)
    assert terminated.all()
    with pytest.warns(WorkerRestarted):
        _, _, terminated, truncated, info = step(workers)
    assert not (terminated | truncated).any()
    assert RESTARTED not in info
    assert step(workers)[1].tolist() == [1, 1]


@pytest.mark.parametrize("num_steps", [1, 3])
def test_a_later_reset_that_fails_is_done_again_by_the_same_seed(make_workers, tmp_path, num_steps):
    """Within an episode and after its end."""
    faulty = {"fault": "kill", "when": "reset", "at": 1, "once": str(tmp_path / "once")}
    workers, twin = make_workers({}, faulty), make_workers({}, {})
    for seed, asserts in (([3, 8], False), ([5, 6], True)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore" if asserts else "error", WorkerRestarted)
            mine = workers.reset(seed=seed)
        np.testing.assert_equal(mine[0], twin.reset(seed=seed)[0])
        for _ in range(num_steps):
            step(workers)
            step(twin)
    assert workers.num_restarts == 1


def test_a_worker_that_died_between_two_calls_is_found_and_replaced_at_the_next(make_workers):
    workers = make_workers({}, {})
    workers.reset()
    step(workers)
    os.kill(workers.processes[0].pid, signal.SIGKILL)
    workers.processes[0].join()
    with pytest.warns(WorkerRestarted, match="environment 0 lost its worker, .* SIGKILL"):
        assert step(workers)[3].tolist() == [True, False]


# --- a fault before a checkpoint is saved


class Stateful(FaultyEnv):
    """Tells its state, once an hour."""

    metadata = {"render_modes": []}  # noqa: RUF012 (gymnasium's own)

    def state_dict(self) -> dict[str, Any]:
        if self.fault == "hang":
            time.sleep(3600)
        return {"time": self.time}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.time = state["time"]


@pytest.mark.parametrize(("fault", "said"), [("kill", "SIGKILL"), ("hang", "answer in 2 seconds")])
def test_a_worker_that_cannot_tell_its_state_is_replaced_at_the_next_step(fault, said):
    factory = EnvironmentFactory(Stateful, num_envs=3, vectorization="async", worker_timeout=0.4)
    workers = factory.make()
    workers.reset()
    step(workers)
    if fault == "kill":
        os.kill(workers.processes[1].pid, signal.SIGKILL)
        workers.processes[1].join()
    else:
        workers.set_attr("fault", [None, "hang", None])
    states = [read_states(workers), read_states(workers)]
    for one in states:
        assert [state is None for state in one] == [False, True, False]
    with pytest.warns(WorkerRestarted, match=f"environment 1 .*{said}"):
        _, reward, _, truncated, _ = step(workers)
    assert (reward.tolist(), truncated.tolist()) == ([1, 0, 1], [False, True, False])
    assert [state is None for state in read_states(workers)] == [False, False, False]
    with pytest.raises(UnknownStateError, match="environment 1: its state wasn't saved"):
        write_states(workers, states[0])
    workers.close()


def test_a_worker_replaced_after_a_resume_begins_by_another_seed_than_one_before_it():
    factory = EnvironmentFactory(Stateful, num_envs=1, vectorization="async", kwargs={"length": 50})
    seeds: list[int] = []
    saved: tuple[Any, Any] | None = None
    for _ in range(2):
        workers = factory.make()
        collector = Collector(workers, factory.spec)
        if saved is not None:
            state, states = saved
            collector.load_state_dict(state)
            collector.continue_episodes(state, partial(write_states, workers, states))
        collector.collect(None, collector.env_steps + 4)
        saved = collector.state_dict(), read_states(workers)
        os.kill(workers.processes[0].pid, signal.SIGKILL)
        with pytest.warns(WorkerRestarted):
            collector.collect(None, collector.env_steps + 2)
        seeds += workers.get_attr("seed")
        workers.close()
    assert len(set(seeds)) == 2


# --- a fault that ends all


@pytest.mark.parametrize("fault", CAUSES)
def test_past_the_bound_a_fault_names_environment_and_cause_and_ends_all(make_workers, fault):
    workers = make_workers(
        {}, {"fault": fault, "at": 1}, {}, timeout=seconds_of(fault), max_restarts=0
    )
    workers.reset()
    with pytest.raises(WorkerError) as caught:
        go_on(workers)
    assert str(caught.value) == f"Faulty: {CAUSES[fault]}"
    if fault == "raise":
        assert "faulty_env.py" in "".join(caught.value.__notes__), "where in the environment"
    assert children() == []


def test_the_bound_counts_all_workers_together(make_workers):
    faulty = {"fault": "exit", "at": 1}
    workers = make_workers(faulty, faulty, max_restarts=3)
    with (
        pytest.warns(WorkerRestarted) as told,
        pytest.raises(WorkerError, match="after 3 restarts of workers there is none left: mend"),
    ):
        go_on(workers)
    texts = [str(one.message) for one in told if one.category is WorkerRestarted]
    assert [f"restart {n} of 3" in text for n, text in enumerate(texts, start=1)] == [True] * 3


@pytest.mark.parametrize("when", ["reset", "make"])
@pytest.mark.parametrize("fault", CAUSES)
def test_what_fails_before_its_first_step_ends_all_at_once(make_workers, fault, when):
    with pytest.raises(WorkerError, match=r"^Faulty: environment 1 (raised|lost|didn't)"):
        go_on(make_workers({}, {"fault": fault, "when": when}, timeout=seconds_of(fault) / 5))


def test_a_new_worker_that_fails_at_once_is_not_replaced(make_workers):
    workers = make_workers({"fault": "exit", "at": 1})
    workers.reset()
    step(workers)
    with pytest.warns(WorkerRestarted):
        step(workers)
    os.kill(workers.processes[0].pid, signal.SIGKILL)
    with pytest.raises(WorkerError, match="SIGKILL"):
        step(workers)


def test_an_error_in_a_method_that_was_called_ends_all(make_workers):
    workers = make_workers({}, {})
    workers.reset()
    with pytest.raises(WorkerError, match="environment 0 raised AttributeError"):
        workers.get_attr("no such thing")
    assert children() == []


def test_one_of_gymnasiums_own_workers_that_dies_is_named_too_and_none_is_left():
    given = gym.vector.AsyncVectorEnv([partial(FaultyEnv, fault="kill", at=2), FaultyEnv])
    collector = Collector(given, EnvironmentFactory(FaultyEnv).spec)
    with pytest.raises(WorkerError, match="AsyncVectorEnv: environment 0 lost its worker"):
        collector.collect(None, 100)
    assert not any(process.is_alive() for process in given.processes)
    given.close()
    given.error_queue.close()
    given.processes.clear()
    del given, collector


# --- waiting


def test_making_and_reset_have_five_times_as_long_as_a_step(make_workers):
    began = time.monotonic()
    with pytest.raises(WorkerError, match="didn't answer in 2 seconds"):
        make_workers({"fault": "hang", "when": "make"}, timeout=0.4)
    assert 2 <= time.monotonic() - began < 8


class Signalled(Exception):
    """What someone raises who has no time to wait."""


@pytest.mark.parametrize("is_on_class", [True, False])
def test_who_has_no_time_leaves_while_a_worker_hangs(make_workers, monkeypatch, is_on_class):
    workers = make_workers({}, {"fault": "hang", "at": 1}, timeout=None)
    workers.reset()
    step(workers)
    calls = []

    def leave(waited: float, longest: float) -> None:
        calls.append(waited)
        if len(calls) == 3:
            raise Signalled

    monkeypatch.setattr(WorkerVectorEnv if is_on_class else workers, "while_waiting", leave)
    began = time.monotonic()
    with pytest.raises(Signalled):
        step(workers)
    assert 0.4 < time.monotonic() - began < 2
    assert workers.closed
    assert children() == []


def test_closing_does_not_wait_for_one_that_hangs(make_workers, monkeypatch):
    monkeypatch.setattr("lightning_dqn.environments.workers.CLOSING_SECONDS", 0.5)
    workers = make_workers({}, {"fault": "hang", "at": 1})
    workers.reset()
    step(workers)
    workers.step_async(np.zeros(2, np.int64))
    began = time.monotonic()
    workers.close()
    assert time.monotonic() - began < 5
    assert children() == []


# --- signals


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1"])
def test_a_worker_leaves_to_its_trainer_what_a_group_of_processes_hears(make_workers, name):
    """It has to tell its state where the trainer saves before it ends."""
    workers = make_workers({}, {})
    workers.reset()
    pids = [process.pid for process in workers.processes]
    for pid in pids:
        os.kill(pid, getattr(signal, name))
    assert step(workers)[1].tolist() == [1, 1]
    assert [process.pid for process in workers.processes] == pids


class Starter(FaultyEnv):
    """Starts a program and forks a process, and ends them by SIGTERM."""

    def ends(self) -> tuple[int, int]:
        program = subprocess.Popen(["sleep", "60"])
        program.terminate()
        ready, tell = os.pipe()
        if (pid := os.fork()) == 0:
            os.write(tell, b"!")
            time.sleep(60)
            os._exit(0)
        os.read(ready, 1)
        os.kill(pid, signal.SIGTERM)
        return program.wait(10), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_what_an_environment_starts_ends_when_it_asks():
    workers = WorkerVectorEnv([Starter], name="Starter", timeout=4)
    workers.reset()
    assert workers.call("ends") == ((-signal.SIGTERM, -signal.SIGTERM),)
    workers.close()


UNCLOSED = """
import gymnasium
from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.environments.grade import read_states, write_states
from lightning_dqn.environments.state import UnknownStateError

if __name__ == "__main__":
    workers = EnvironmentFactory("CartPole-v1", num_envs=2, vectorization="async").make()
    workers.reset()
    gymnasium.kept = workers  # beyond what is deleted at the end
    print(*[process.pid for process in workers.processes])
"""


def test_a_program_that_closes_nothing_ends_and_its_workers_with_it(tmp_path):
    (tmp_path / "unclosed.py").write_text(UNCLOSED)
    command = [sys.executable, "unclosed.py"]
    told = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    pids = [int(pid) for pid in told.stdout.split()]
    assert len(pids) == 2
    assert not any(map(psutil.pid_exists, pids))


# --- the factory


@pytest.mark.parametrize("timeout", [0, -1.0])
def test_a_timeout_that_means_nothing_is_refused(timeout):
    with pytest.raises(ValueError, match=r"^worker_timeout="):
        EnvironmentFactory(FaultyEnv, worker_timeout=timeout)


@pytest.mark.parametrize("number", [-1, 1.5])
def test_a_number_of_restarts_that_means_nothing_is_refused(number):
    with pytest.raises(ValueError, match=r"^max_worker_restarts="):
        EnvironmentFactory(FaultyEnv, max_worker_restarts=number)


def test_the_factory_makes_them_with_its_timeout_and_its_bound():
    factory = EnvironmentFactory(
        FaultyEnv,
        num_envs=2,
        vectorization="async",
        kwargs={"fault": "hang", "at": 1},
        worker_timeout=1,
        max_worker_restarts=0,
    )
    workers = factory.make()
    workers.reset()
    step(workers)
    with pytest.raises(WorkerError, match="FaultyEnv: environment 0 didn't answer in 1 seconds"):
        step(workers)


class SlowEnv(FaultyEnv):
    """One that takes longer than what is waited for at once."""

    def step(self, action: Any) -> Any:
        time.sleep(0.4)
        return super().step(action)


def test_who_looks_on_is_told_how_long_a_worker_takes_and_took() -> None:
    told: list[tuple[float, float]] = []
    workers = WorkerVectorEnv([SlowEnv, SlowEnv], name="Slow")
    workers.reset(seed=0)
    workers.while_waiting = lambda waited, longest: told.append((waited, longest))
    for _ in range(2):
        step(workers)
    workers.close()
    assert told[0][1] == 0.0
    assert told[-1][1] >= 0.4
    assert all(waited >= 0.25 for waited, _ in told)
