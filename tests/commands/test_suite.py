"""The command that runs suites: what it says, refuses and reports; a real one once."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.fake_studies import replace_training
from support.fake_suites import write_fake_suite
from support.processes import SHORT, command

from lightning_dqn.commands import suite as suite_command
from lightning_dqn.study import launching
from lightning_dqn.study.processes import Processes
from lightning_dqn.study.results_files import read_results


@pytest.fixture
def fake_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a fake program in place of training and a suite of it."""
    replace_training(tmp_path, monkeypatch)
    write_fake_suite(tmp_path)
    return tmp_path


def main(*arguments: str) -> int:
    """Run the command line in this process; return its exit code."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        suite_command.main(arguments)
    except SystemExit as stop:
        return int(stop.code or 0)
    finally:
        signal.signal(signal.SIGTERM, handler)
    return 0


def test_a_suite_shows_its_progress_and_ends_in_its_table(
    fake_runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (fake_runs / "order_1").write_text("fail")
    assert main("fake", "games=Pong,Alien", "seeds=2", "jobs=2", "folder=mine") == 1
    out = capsys.readouterr().out
    assert out.startswith("fake: 4 jobs (game=Pong,seed=0, game=Alien,seed=0, ")
    assert "[4/4] game=" in out
    assert "| Pong  | 1 of 2 |" in out
    assert "| this suite       | 2 per-game means |" in out
    assert "- game=Pong,seed=1 failed: boom" in out
    names = {path.name for path in Path("mine").iterdir() if path.is_file()}
    files = {"table.md", "results.json", "results.csv", "games.csv", "aggregates.csv"}
    assert names >= {*files, "profile.png", "sweep.json"}


def test_a_suite_goes_on_by_its_folder_alone_with_what_is_added(
    fake_runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (fake_runs / "order_1").write_text("fail")
    assert main("fake", "+a=1", "games=Pong", "seeds=2", "folder=mine") == 1
    (fake_runs / "order_1").unlink()
    assert main("mine") == 0
    assert main("mine", "games=Alien", "seeds=3") == 0
    found = read_results("mine")
    assert [one.returns.tolist() for one in found.settings] == [[0, 10, 20], [0, 10, 20]]
    monkeypatch.setattr(Processes, "_command", None)
    capsys.readouterr()
    assert main("mine") == 0
    assert "6 of them finished already" in capsys.readouterr().out
    assert main("fake", "+a=1", "games=Pong", "seeds=2", "folder=mine") == 0


def test_suites_are_compared(fake_runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main("fake", "+a=1", "games=Pong,Alien", "seeds=2", "folder=first")
    main("fake", "+a=2", "games=Pong", "seeds=2", "folder=second")
    capsys.readouterr()
    assert main("report=first,second", "folder=both") == 0
    out = capsys.readouterr().out
    assert "| game |" in out
    assert "P(X > Y)" in out
    assert "+a=1: Alien left out, which not all have a finished run of" in out
    assert out.endswith("files  both\n")
    assert Path("both", "profile.png").read_bytes().startswith(b"\x89PNG")
    assert main("report=first", "folder=first") == 2
    assert "holds a suite; choose a folder for the report" in capsys.readouterr().err


MISTAKES = {
    "seeds=2": "suite=: name a suite, as suite atari100k, or the folder of one",
    "suite=atari100": "suite=atari100: neither a suite nor the folder of one; did you mean a",
    "nowhere/else": "suite=nowhere/else: neither a suite nor the folder of one; there are atari",
    "atari100k games=Pnog": "games=Pnog: atari100k has no game Pnog; did you mean Pong?",
    "atari100k games=Enduro": "games=Enduro: atari100k has no game Enduro",
    "atari100k games=Pong,Pong": "games=Pong,Pong: a game is named twice",
    "atari100k seed=1": "seed=1: a suite takes its seeds as seeds=5",
    "atari100k seeds=x": "seeds=x: expected how many, as 5, or which",
    "atari100k jobs=0": "jobs=0: expected a number from 1",
    "atari100k environment.game=Pong": "a suite takes its games as games=Alien,Amidar",
    "atari100k resume=x": "a suite is continued by its folder: suite <folder>",
    "atari100k algorithm=atari/der,atari/dqn": "a suite has one setting",
    "minatar data.batchsize=3": "did you mean data.batch_size",
    "minatar games=Pong": "minatar has no game Pong; there are all, Asterix, Breakout",
    "atari100k report=x": "suite: report= takes folder= beside it, nothing else",
    "report=nowhere": "report=nowhere: there is no such folder",
}


@pytest.mark.parametrize(("arguments", "message"), MISTAKES.items())
def test_a_mistake_is_refused_in_one_message(
    arguments: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(launching, "conduct", None)
    assert main(*arguments.split()) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert message in line
    assert list(tmp_path.iterdir()) == []


def test_a_suite_that_goes_on_is_not_moved_or_changed(
    fake_runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main("fake", "games=Pong", "seeds=1", "folder=mine")
    capsys.readouterr()
    assert main("mine", "folder=other") == 2
    assert "folder=other: the suite continues in mine, where it is" in capsys.readouterr().err
    assert main("mine", "data.batch_size=8") == 2
    assert "data.batch_size=8: a sweep continues as it was asked for" in capsys.readouterr().err


def test_help_and_reports_need_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from lightning_dqn.commands import suite; suite.main(['--help'])\n"
        "assert not {'torch', 'matplotlib'} & set(sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert "suite atari100k" in result.stdout


@pytest.mark.slow
def test_a_real_suite_that_is_resumed_ends_in_its_table(tmp_path: Path) -> None:
    pytest.importorskip("minatar")
    short = [one for one in SHORT if not one.startswith("module.network")]
    asked = ["minatar", "algorithm=dqn", "games=Breakout,Freeway", "seeds=1", "jobs=2"]
    limit = "data.evaluation.max_episode_steps=200"
    result = command("suite", *asked, *short, limit, "folder=mine", cwd=tmp_path, timeout=280)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "| Freeway  |    1 |" in result.stdout
    assert "cut after 200 env steps: " in result.stdout
    saved = json.loads((tmp_path / "mine" / "results.json").read_text())["suite_results"]
    assert saved["games"]["Freeway"]["episodes_cut"] == saved["games"]["Freeway"]["episodes"] == 2
    assert not (tmp_path / "mine" / "profile.png").exists()
    [freeway] = [path for path in (tmp_path / "mine").glob("*Freeway*") if path.is_dir()]
    (freeway / "summary.json").unlink()
    again = command("suite", "mine", cwd=tmp_path, timeout=200)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "1 of them finished already" in again.stdout
    assert "| Freeway  |    1 |" in again.stdout
