"""The command that plays: its keys, how it refuses, and that it serves until it is interrupted."""

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from support.playing import write_runtime, write_taught_run

from lightning_dqn.commands import play
from lightning_dqn.commands.command import usage
from lightning_dqn.games.play import session
from lightning_dqn.games.play.runtime import FILES


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory) -> Path:
    return write_taught_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def runtime(tmp_path_factory) -> Path:
    """A folder with files of the runtime's names."""
    return write_runtime(tmp_path_factory.mktemp("runtime"))


@pytest.fixture
def command(monkeypatch, capsys):
    """A function that runs the command and returns its exit code, stdout and stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        try:
            play.main([*map(str, arguments)])
            code = 0
        except SystemExit as exit:
            code = int(exit.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def refusal(command, *arguments: str) -> str:
    code, out, error = command(*arguments)
    assert code == 2
    assert out == ""
    assert len(error.splitlines()) == 1
    assert error.startswith("lightning-dqn: ")
    return error


def test_help_names_every_key(command):
    code, out, _ = command("--help")
    assert code == 0
    assert out == usage(play.PlayOptions) + "\n"


def test_what_is_given_reaches_the_game_beside_the_defaults(command, run_folder, monkeypatch):
    given = []
    monkeypatch.setattr(session, "play", lambda *those: given.append(those))
    named = ("terminal=true", "score=1", "seed=3", "starts=agent")
    assert command(run_folder, *named) == (0, "", "")
    [(run, options)] = given
    assert run.weights == run_folder
    asked = {"terminal": True, "score": 1, "seed": 3, "starts": "agent"}
    assert options == play.PlayOptions(run=str(run_folder), **asked)


def test_it_serves_the_page_until_it_is_interrupted(run_folder, runtime):
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "lightning_dqn", "play", f"checkpoint={run_folder}"),
            *("browser=false", f"runtime={runtime}"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore:Guards may run slower"},  # on Python 3.13.0
    )
    try:
        line = process.stdout.readline()
        address = line.split()[2]
        assert address.startswith("http://127.0.0.1:")
        types = {"": "text/html", "play.js": "text/javascript", "game.json": "application/json"}
        types |= {f"onnxruntime/{FILES[0]}": "text/javascript"}
        types |= {f"onnxruntime/{FILES[1]}": "application/wasm"}
        for name, kind in types.items():
            with urllib.request.urlopen(address + name) as response:
                assert response.headers.get_content_type() == kind
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(address + "../../etc/passwd")
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, error) == (0, "")


@pytest.mark.parametrize(
    "argument",
    ["colour=red", "port=http", "port=true", "terminal=7", "starts=me", "score=75", "seed=x"],
)
def test_a_wrong_key_or_value_is_named(command, run_folder, argument):
    assert argument.split("=")[0] in refusal(command, f"checkpoint={run_folder}", argument)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("score=0.75", "score=0.75: nothing reads it in the page"),
        ("starts=agent", "set terminal=true"),
        ("seed=1", "seed=1: nothing reads it"),
        ("terminal=true seed=0", "seed=0: nothing reads it where the agent plays its best moves"),
        ("terminal=true port=8000", "port=8000: nothing reads it in the terminal"),
        ("terminal=true output=page", "output=page: nothing reads it in the terminal"),
        ("output=page browser=false", "browser=false: nothing reads it where the page is written"),
    ],
)
def test_what_another_option_switches_off_is_refused(command, run_folder, arguments, message):
    assert message in refusal(command, str(run_folder), *arguments.split())


def test_a_checkpoint_must_be_named(command):
    assert "run=: name its folder" in refusal(command, "terminal=true")


def test_what_can_not_be_played_is_told_in_one_line(command, run_folder, tmp_path):
    assert "no such file" in refusal(command, f"checkpoint={tmp_path / 'nothing'}")
    error = refusal(command, f"checkpoint={run_folder}", "game=connect_four")
    assert "float32[9]" in error
