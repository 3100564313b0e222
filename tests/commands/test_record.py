"""The command that records an agent: its keys, what it prints, and how it refuses."""

import json
from pathlib import Path

import pytest
from PIL import Image
from support.processes import command

from lightning_dqn.collecting.takes import Filmed
from lightning_dqn.commands import record
from lightning_dqn.commands.command import usage
from lightning_dqn.runs.finished import recording
from lightning_dqn.runs.finished.finished_run import FinishedRun
from lightning_dqn.runs.finished.recording import Played, Recording
from lightning_dqn.transitions import Episode


def test_a_run_is_recorded_and_a_program_reads_of_it_in_json(finished_run, tmp_path):
    pytest.importorskip("pygame")
    run, _ = finished_run
    output = tmp_path / "cartpole.gif"
    made = command("record", str(run), f"output={output}", "episodes=4", "--json", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    outcome = json.loads(made.stdout)
    assert outcome["run"] == str(run)
    assert len(outcome["episodes"]) == 4
    assert [video["which"] for video in outcome["videos"]] == ["best", "median", "worst"]
    returns = sorted(one["return"] for one in outcome["episodes"])
    for video, expected in zip(
        outcome["videos"], [returns[3], returns[1], returns[0]], strict=True
    ):
        assert video["return"] == video["length"] == expected
        assert video["is_repeated"]
        path = Path(video["file"])
        name = f"cartpole_{video['which']}_return_{expected:g}_seed_{video['seed']}.gif"
        assert path == tmp_path / name
        with Image.open(path) as image:
            assert image.size == (600, 400)
            assert image.n_frames <= expected + 1, "equal frames are one that stays longer"
            pauses = []
            for number in range(image.n_frames):
                image.seek(number)
                pauses.append(image.info["duration"])
        assert sum(pauses) == 20 * (expected + 1), "50 frames a second"
    told = tmp_path / "cartpole_recording.json"
    files = {str(told), *(video["file"] for video in outcome["videos"])}
    assert {str(path) for path in tmp_path.iterdir()} == files
    assert json.loads(told.read_text())["env_steps"] == FinishedRun.find(run).env_steps() > 0


@pytest.fixture
def given(monkeypatch):
    """The options that reached the recording, in place of it."""
    found = []

    def instead(run, options):
        found.append(options)
        episodes = [Played(seed, Episode(2.5 * seed, seed)) for seed in (1, 2, 4)]
        videos = [
            Filmed("best", Path("v/b.gif"), Episode(10.0, 4), Episode(10.0, 4), [], 4),
            Filmed("worst", Path("v/u.gif"), Episode(7.0, 1_000), Episode(2.5, 1), [], 1),
        ]
        return Recording(episodes, videos, ["a note"])

    monkeypatch.setattr(recording, "record", instead)
    monkeypatch.setattr(FinishedRun, "find", lambda path, trust: path)
    return found


def test_episodes_are_summed_up_and_each_video_has_a_line(given, capsys):
    record.main(["runs/x", "output=v/"])
    assert capsys.readouterr().out.splitlines() == [
        "3 episodes: return 2.5 to 10, median 5",
        "best: return 10, 4 env steps, seed 4: v/b.gif",
        "worst (not repeated): return 7, 1,000 env steps, seed 1: v/u.gif",
        "a note",
    ]


def test_what_is_not_given_has_its_default(given):
    record.main(["runs/x", "output=v/", "width=200"])
    assert given == [record.RecordOptions(run="runs/x", output="v/", width=200)]
    [options] = given
    assert (options.episodes, options.seed, options.epsilon, options.fps) == (20, None, "run", None)
    assert (options.format, options.max_episode_steps) == (None, "run")


def test_ctrl_c_is_told_in_one_line(given, monkeypatch, capsys):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(recording, "record", stopped)
    with pytest.raises(SystemExit) as stop:
        record.main(["runs/x", "output=v/"])
    assert stop.value.code == 130
    assert capsys.readouterr().err.count("\n") == 1


def test_help_is_that_of_its_options(capsys):
    record.main(["--help"])
    assert capsys.readouterr().out == usage(record.RecordOptions) + "\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["output=v/"], "run=: name its folder, or a checkpoint in it, as run=..."),
        (["x"], "output=: name a folder, or a file.mp4 or file.gif"),
        (["nowhere", "output=v/"], "run=nowhere: there is no such file or folder"),
        (["x", "output=v/", "format=avi"], "format='avi': expected"),
        (["x", "output=v/", "width=3"], "width=3: expected a number from 16 to 8192"),
    ],
)
def test_a_mistake_is_told_in_one_line(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        record.main(arguments)
    assert stop.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"lightning-dqn: {message}")
    assert captured.err.count("\n") == 1
