"""Signals end a run where nothing is lost, whatever it is at, and it goes on as if never ended."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import psutil
import pytest
from support.interrupted_runs import (
    QUICK,
    SIGNALS,
    differences_of_runs,
    has_rows,
    interrupt,
    scontrol,
    start,
)
from support.processes import command

SECONDS = 8.0
"""In which a run must end, on a busy machine too: a save, and the interpreter's own end."""


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was never stopped."""
    folder = tmp_path_factory.mktemp("unbroken")
    result = command(*QUICK, "hydra.run.dir=run", cwd=folder)
    assert result.returncode == 0, result.stderr
    return folder / "run"


def test_a_terminated_run_says_how_to_go_on_and_comes_to_the_same(
    tmp_path: Path, unbroken: Path
) -> None:
    process = start(tmp_path, *QUICK, "hydra.run.dir=run")
    ended = interrupt(process, has_rows(tmp_path / "run", 40), signal.SIGTERM)
    assert ended.status == 128 + signal.SIGTERM, ended.output
    assert ended.seconds < SECONDS
    assert "stopped by SIGTERM; all is saved in run/checkpoints/last.ckpt" in ended.output
    assert "lightning_dqn resume run" in ended.output
    assert "Traceback" not in ended.output
    result = command("resume", "run", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert differences_of_runs(tmp_path / "run", unbroken) == []


def test_a_run_is_saved_whose_workers_hear_the_signal_too(tmp_path: Path) -> None:
    """As where a scheduler, or ``timeout``, sends it to all of a job."""
    process = start(tmp_path, *QUICK, "environment.vectorization=async", "hydra.run.dir=run")
    has_begun = has_rows(tmp_path / "run", 20)

    def signalled() -> bool:
        if has_begun():
            for worker in psutil.Process(process.pid).children(recursive=True):
                worker.terminate()
        return has_begun()

    ended = interrupt(process, signalled, signal.SIGTERM)
    assert ended.status == 128 + signal.SIGTERM, ended.output
    assert "stopped by SIGTERM; all is saved in run/checkpoints/last.ckpt" in ended.output
    assert "lost its worker" not in ended.output


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGINT", "SIGUSR1", "SIGHUP"])
def test_other_signals_do_the_same(name: str, tmp_path: Path, unbroken: Path) -> None:
    process = start(tmp_path, *QUICK, "hydra.run.dir=run")
    ended = interrupt(process, has_rows(tmp_path / "run", 25), SIGNALS[name])
    assert ended.status == 128 + SIGNALS[name], ended.output
    assert command("resume", "run", cwd=tmp_path).returncode == 0
    assert differences_of_runs(tmp_path / "run", unbroken) == []


@pytest.mark.slow
def test_a_killed_run_goes_on_from_its_last_epoch(tmp_path: Path, unbroken: Path) -> None:
    process = start(tmp_path, *QUICK, "hydra.run.dir=run")
    ended = interrupt(process, has_rows(tmp_path / "run", 130), signal.SIGKILL)
    assert ended.status == -signal.SIGKILL
    assert command("resume", "run", cwd=tmp_path).returncode == 0
    assert differences_of_runs(tmp_path / "run", unbroken) == []


@pytest.mark.slow
def test_a_run_may_be_stopped_many_times(tmp_path: Path, unbroken: Path) -> None:
    arguments: tuple[str, ...] = (*QUICK, "hydra.run.dir=run")
    for rows in (10, 90, 110, 200):
        process = start(tmp_path, *arguments)
        assert interrupt(process, has_rows(tmp_path / "run", rows), signal.SIGTERM).status == 143
        arguments = ("resume", "run")
    assert command("resume", "run", cwd=tmp_path).returncode == 0
    assert differences_of_runs(tmp_path / "run", unbroken) == []


@pytest.mark.slow
def test_a_run_in_its_warm_up_has_nothing_to_lose(tmp_path: Path, unbroken: Path) -> None:
    log = tmp_path / "run" / "train.log"
    long = "data.collection.warmup_env_steps=100000000"
    epochs = "trainer.max_epochs=1000000"
    process = start(tmp_path, *QUICK, long, epochs, "hydra.run.dir=run")
    ended = interrupt(process, log.is_file, signal.SIGTERM, then_wait=3.0)
    assert (ended.status, ended.seconds < SECONDS) == (143, True), ended.output
    assert "nothing was learned yet" in ended.output


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_an_evaluation_is_left_and_played_again(name: str, tmp_path: Path, unbroken: Path) -> None:
    long = "data.evaluation.episodes_per_env=1000000"
    process = start(tmp_path, *QUICK, long, "hydra.run.dir=run")
    rows = has_rows(tmp_path / "run", 99)  # of an epoch's 100 iterations
    ended = interrupt(process, rows, SIGNALS[name], then_wait=1.5)
    assert (ended.status, ended.seconds < SECONDS) == (128 + SIGNALS[name], True), ended.output
    short = "data.evaluation.episodes_per_env=1"
    assert command("resume", "run", short, cwd=tmp_path).returncode == 0
    assert differences_of_runs(tmp_path / "run", unbroken) == []


@pytest.mark.slow
def test_a_test_is_left_and_played_again(tmp_path: Path) -> None:
    quick = [*QUICK[:-1], "trainer.max_epochs=1", "hydra.run.dir=run"]
    long = "data.evaluation.test_episodes_per_env=1000000"
    process = start(tmp_path, *quick, long)
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    ended = interrupt(process, last.is_file, signal.SIGTERM, then_wait=2.0)
    assert (ended.status, ended.seconds < SECONDS) == (143, True), ended.output
    assert "last.ckpt is as it was" in ended.output
    again = command("resume", "run", "data.evaluation.test_episodes_per_env=1", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "over 2 test episodes" in again.stdout


@pytest.mark.slow
def test_a_sweep_is_left_with_its_job(tmp_path: Path) -> None:
    process = start(tmp_path, "-m", *QUICK, "seed=1,2", "hydra.sweep.dir=sweep")
    ended = interrupt(process, has_rows(tmp_path / "sweep" / "seed=1", 20), signal.SIGTERM)
    assert ended.status == 143, ended.output
    assert "lightning_dqn resume sweep/seed=1" in ended.output
    assert not (tmp_path / "sweep" / "seed=2").exists()


@pytest.fixture
def hanging(tmp_path: Path) -> str:
    """The id of an environment that hangs after a thousand steps, in a module of the folder."""
    (tmp_path / "hangs.py").write_text(
        "import time\nimport gymnasium as gym\n"
        "from gymnasium.envs.classic_control import CartPoleEnv\n"
        "class Hangs(CartPoleEnv):\n"
        "    steps = 0\n"
        "    def step(self, action):\n"
        "        Hangs.steps += 1\n"
        "        if Hangs.steps > 1000:\n"
        "            open('hanging', 'w').close()\n"
        "            time.sleep(1000)\n"
        "        return super().step(action)\n"
        "gym.register('Hangs-v0', entry_point=Hangs, max_episode_steps=50)\n"
    )
    return "hangs:Hangs-v0"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_hanging_worker_holds_no_signal_up(name: str, tmp_path: Path, hanging: str) -> None:
    own = (f"environment.id={hanging}", "environment.vectorization=async", "hydra.run.dir=run")
    process = start(tmp_path, *QUICK, *own)
    is_hanging = (tmp_path / "hanging").exists
    ended = interrupt(process, is_hanging, SIGNALS[name], then_wait=1.0)
    assert (ended.status, ended.seconds < SECONDS) == (128 + SIGNALS[name], True), ended.output
    assert f"stopped by {name}" in ended.output


@pytest.mark.slow
def test_the_second_ctrl_c_ends_a_run_at_once(tmp_path: Path, hanging: str) -> None:
    arguments = (*QUICK, f"environment.id={hanging}", "hydra.run.dir=run")
    process = start(tmp_path, *arguments)
    ended = interrupt(process, (tmp_path / "hanging").exists, signal.SIGINT, again=True)
    assert (ended.status, ended.seconds < SECONDS) == (130, True), ended.output
    assert "Ctrl-C once more" in ended.output
    assert "resume run" in ended.output


@pytest.mark.slow
def test_slurm_is_asked_to_run_the_job_again(
    tmp_path: Path, unbroken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", scontrol(tmp_path))
    for name, value in (("JOB_ID", "12"), ("NTASKS", "1"), ("PROCID", "0"), ("JOB_NAME", "x")):
        monkeypatch.setenv(f"SLURM_{name}", value)
    arguments = (*QUICK, "hydra.run.dir=run", "resume=auto")
    process = start(tmp_path, *arguments)
    ended = interrupt(process, has_rows(tmp_path / "run", 30), signal.SIGUSR1)
    assert ended.status == 128 + signal.SIGUSR1, ended.output
    assert (tmp_path / "asked").read_text() == "requeue 12\n"
    assert command(*arguments, cwd=tmp_path).returncode == 0
    assert differences_of_runs(tmp_path / "run", unbroken) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
def test_a_study_that_ends_takes_its_runs_along_and_goes_on_with_them(
    name: str, tmp_path: Path, unbroken: Path
) -> None:
    quick = [one for one in QUICK if not one.startswith(("seed", "test"))]
    process = start(tmp_path, "study", *quick, "seeds=7,", "folder=study")
    run = tmp_path / "study" / "seed=7"
    number = getattr(signal, name)
    ended = interrupt(process, has_rows(run, 130), number)
    assert ended.status in (128 + number, -number), ended.output
    deadline = time.monotonic() + SECONDS
    while "stopped by SIGTERM" not in (tmp_path / "study" / "seed=7.log").read_text():
        assert time.monotonic() < deadline, "its run goes on"
        time.sleep(0.1)
    rows = (run / "metrics.csv").read_text().count("\n")
    again = command("study", "study", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert rows > 130
    assert not (tmp_path / "study" / "seed=7_unfinished_1").exists()
    assert differences_of_runs(run, unbroken) == []


@pytest.mark.slow
def test_runs_of_a_study_are_saved_where_all_of_a_job_hear_the_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They hear SLURM's, and then that of the study, which alone asks for the job again."""
    monkeypatch.setenv("PATH", scontrol(tmp_path))
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    endless = "trainer.max_epochs=100000"
    process = start(tmp_path, "study", *QUICK[1:], endless, "seeds=2", "jobs=2", "folder=study")
    runs = [tmp_path / "study" / f"seed={seed}" for seed in (0, 1)]
    have_begun = [has_rows(run, 20) for run in runs]

    def signalled() -> bool:
        if not all(begun() for begun in have_begun):
            return False
        for run in psutil.Process(process.pid).children():
            run.send_signal(signal.SIGUSR1)
        return True

    ended = interrupt(process, signalled, signal.SIGUSR1)
    assert ended.status == 128 + signal.SIGUSR1, ended.output
    for run in runs:
        assert "all is saved in" in run.with_name(f"{run.name}.log").read_text()
    assert (tmp_path / "asked").read_text() == "requeue 12\n"
