"""Runs whose environments fail, die, hang or give nonsense: they go on, or end in one line."""

from __future__ import annotations

import json
from itertools import product

import psutil
import pytest
from support.faulty_runs import run_with

TIMES = ("warm-up", "training", "evaluation")

GOT_OVER = {
    "raise": "raised RuntimeError: simulator lost its licence",
    "exit": "lost its worker, which ended with exit code 3",
    "kill": "lost its worker, which was ended by SIGKILL",
    "hang": "didn't answer in 2 seconds",
}
"""Fault -> what is said of it; another worker takes the place."""

REFUSED = {
    "nan observation": "gave a non-finite observation (nan at [1])",
    "nan reward": "gave a non-finite reward (nan)",
    "scalar": "gave an observation of the shape (1,) at step",
}
"""Fault -> what is said of it; another worker would give the same."""

QUICK = {("kill", "training"), ("raise", "evaluation"), ("nan reward", "warm-up")}


def cases(faults):
    """Return each fault at each time, slow but for a few."""
    slow = [pytest.mark.slow]
    return [
        pytest.param(*case, marks=[] if case in QUICK else slow) for case in product(faults, TIMES)
    ]


@pytest.mark.parametrize(("fault", "time"), cases(GOT_OVER))
def test_a_run_goes_on_after_a_fault_and_learns_to_its_end(fault, time, tmp_path):
    result = run_with(fault, time, tmp_path)
    assert result.returncode == 0, result.stderr
    [line] = filter(None, result.stderr.splitlines())
    assert GOT_OVER[fault] in line
    assert "restart 1 of 10 at most" in line
    [run] = (tmp_path / "runs").glob("*/*")
    summary = json.loads((run / "summary.json").read_text())
    assert summary["updates"] == 32
    assert summary["episode_return"] == 3.0, "no episode that was cut is a result"
    rows = (run / "metrics.csv").read_text().splitlines()
    column = rows[0].split(",").index("rollout/worker_restarts") if time != "evaluation" else None
    if column is not None:
        assert {row.split(",")[column] for row in rows[1:]} <= {"", "0", "1", "0.0", "1.0"}
        assert (
            float([row.split(",")[column] for row in rows[1:] if row.split(",")[column]][-1]) == 1
        )


@pytest.mark.parametrize(("fault", "time"), cases({**GOT_OVER, **REFUSED}))
def test_what_is_not_got_over_ends_the_run_in_one_line(fault, time, tmp_path):
    environment = "data.evaluation.environment" if time == "evaluation" else "environment"
    bound = f"++{environment}.max_worker_restarts=0"
    result = run_with(fault, time, tmp_path, bound, again=True)
    assert result.returncode == 1
    line, *saved = filter(None, result.stderr.splitlines())
    assert line.startswith("lightning-dqn: ")
    assert [one.split()[0] for one in saved] in ([], ["saved", "continue"])
    assert "environment 0 " in line
    assert {**GOT_OVER, **REFUSED}[fault] in line
    [run] = (tmp_path / "runs").glob("*/*")
    assert "Traceback" in (run / "train.log").read_text(), "where it was stands in the log"


def test_no_process_is_left_after_a_run_that_ended_by_a_fault(tmp_path):
    run_with("raise", "training", tmp_path, "environment.max_worker_restarts=0", again=True)
    lines = [process.info["cwd"] for process in psutil.process_iter(["cwd"])]
    assert str(tmp_path) not in lines


def test_the_traceback_of_a_fault_comes_when_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    result = run_with("scalar", "warm-up", tmp_path)
    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert "WorkerError: " in result.stderr


@pytest.mark.slow
def test_the_other_jobs_of_a_sweep_go_on_after_a_fault(tmp_path):
    result = run_with(
        "scalar", "training", tmp_path, "-m", "environment.kwargs.at=40,100000", again=True
    )
    assert result.returncode == 1
    assert "gave an observation of the shape (1,)" in result.stderr
    assert len(list((tmp_path / "runs").glob("*/*/*/summary.json"))) == 1
