"""The command that shows an agent: its keys, in a pipe, and how it ends."""

import dataclasses
import signal
import subprocess
import sys

import pytest
from support.processes import command

from lightning_dqn.commands import watch
from lightning_dqn.commands.command import usage
from lightning_dqn.runs.finished import watching
from lightning_dqn.runs.finished.finished_run import FinishedRun


def test_in_a_pipe_a_run_is_shown_as_text(finished_run):
    run, _ = finished_run
    shown = command("watch", str(run), "episodes=2", "text=true", cwd=run)
    assert (shown.returncode, shown.stderr) == (0, "")
    lines = shown.stdout.splitlines()
    assert lines[0].startswith("episode 1, seed ")
    assert lines[1].startswith("step 1  action ")
    assert lines[-1].startswith("episode 2: return ")


def test_it_shows_the_first_episode_of_the_runs_own_test(finished_run):
    run, _ = finished_run
    shown = command("watch", str(run), "episodes=1", "text=true", cwd=run).stdout
    evaluated = command("evaluate", str(run), "num_envs=1", "episodes_per_env=1", cwd=run).stdout
    last = evaluated.splitlines()[-1].split()
    assert shown.splitlines()[-1] == f"episode 1: return {float(last[1]):g}, {last[2]} env steps"


def test_who_reads_no_further_is_no_mistake(finished_run):
    run, _ = finished_run
    process = subprocess.Popen(
        [sys.executable, "-m", "lightning_dqn", "watch", str(run), "text=true", "episodes=9999"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.stderr.close()


def test_ctrl_c_ends_it_quietly(finished_run):
    run, _ = finished_run
    process = subprocess.Popen(
        [sys.executable, "-m", "lightning_dqn", "watch", str(run), "text=true", "episodes=9999"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, error) == (0, "")


@pytest.fixture
def given(monkeypatch):
    """What reached the showing, in place of it."""
    found = []
    monkeypatch.setattr(watching, "watch", lambda *those: found.append(those))
    monkeypatch.setattr(FinishedRun, "find", lambda path, trust: path)
    return found


def test_what_is_not_given_has_its_default(given):
    watch.main(["runs/x", "fps=12", "seed=4"])
    [(run, options, out)] = given
    assert (run, out) == ("runs/x", sys.stdout)
    assert dataclasses.asdict(options) == {
        "run": "runs/x",
        "episodes": 3,
        "seed": 4,
        "epsilon": "run",
        "max_episode_steps": "run",
        "fps": 12,
        "trust": None,
        "text": False,
    }


def test_help_is_that_of_its_options(capsys):
    watch.main(["--help"])
    assert capsys.readouterr().out == usage(watch.WatchOptions) + "\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["text=true"], "run=: name its folder, or a checkpoint in it, as run=..."),
        (["run=nowhere"], "run=nowhere: there is no such file or folder"),
        (["x", "fps=0"], "fps=0: expected a number from 0.1"),
        (["x", "episodes=0"], "episodes=0: expected a number from 1"),
    ],
)
def test_a_mistake_is_told_in_one_line(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        watch.main(arguments)
    assert stop.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"lightning-dqn: {message}")
    assert captured.err.count("\n") == 1
