"""The command that plays: the folder it writes, what it serves, and how it refuses."""

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from support.board_agents import board_spec, taught_tictactoe, untrained

from lightning_dqn.commands import play
from lightning_dqn.formats.saved import save_weights
from lightning_dqn.games.play import runtime as browser_runtime
from lightning_dqn.games.play.playable import playable_game
from lightning_dqn.games.tictactoe import TicTacToe

PAGE = browser_runtime.PAGE


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    save_weights(taught_tictactoe().agent, folder)
    summary = {"env_steps": 12_345, "updates": 678, "episode_return": 0.9}
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


@pytest.fixture(scope="module")
def runtime(tmp_path_factory) -> Path:
    """A folder with files of the runtime's names."""
    folder = tmp_path_factory.mktemp("runtime")
    for name in browser_runtime.FILES:
        (folder / name).write_bytes(b"\0asm")
    return folder


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
    assert all(f"  {key}" in out for key in play.DEFAULTS)


def test_the_folder_is_a_whole_site(command, run_folder, runtime, tmp_path):
    site = tmp_path / "deep" / "site"
    code, out, error = command(f"checkpoint={run_folder}", f"output={site}", f"runtime={runtime}")
    assert (code, error) == (0, "")
    assert str(site) in out
    found = {str(path.relative_to(site)) for path in site.rglob("*") if path.is_file()}
    scripts = {path.name for path in PAGE.glob("*.js")}
    assert found == scripts | {
        "index.html",
        "style.css",
        "icon.svg",
        "game.json",
        "model.onnx",
        "rules/tictactoe.js",
        *(f"onnxruntime/{name}" for name in browser_runtime.FILES),
    }
    game = json.loads((site / "game.json").read_text())
    assert (game["game"], game["encoding"], game["shape"]) == ("tictactoe", "signed", [9])
    assert game["strengths"][0]["temperature"] == 0
    assert game["strengths"][-1]["temperature"] is None
    assert game["training"].startswith("Trained for 12,345 env steps, 678 updates")
    again = command(f"checkpoint={run_folder}", f"output={site}", f"runtime={runtime}")
    assert again[0] == 0


def test_the_model_in_the_folder_is_the_agent(command, run_folder, runtime, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    command(f"checkpoint={run_folder}", f"output={tmp_path / 'site'}", f"runtime={runtime}")
    session = onnxruntime.InferenceSession(str(tmp_path / "site" / "model.onnx"))
    game = TicTacToe()
    observation = game.encode(game.apply(game.initial_state(1), np.array([4])))
    [q_values] = session.run(["q_values"], {"observation": observation})
    expected = taught_tictactoe().q_values(observation).numpy()
    np.testing.assert_allclose(q_values, expected, atol=1e-5)


def test_nothing_in_the_page_comes_from_elsewhere():
    for path in PAGE.rglob("*"):
        if path.suffix in (".html", ".css", ".js"):
            text = path.read_text().replace("http://www.w3.org/2000/svg", "")
            assert "://" not in text, path.name
            assert " style=" not in text, path.name
            assert "innerHTML" not in text, path.name
    assert "resolved" not in (PAGE / "package-lock.json").read_text()


def test_the_page_allows_only_its_own_scripts():
    page = (PAGE / "index.html").read_text()
    assert "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'" in page
    assert page.count("<script") == 1


def test_it_serves_the_page_until_it_is_interrupted(run_folder, runtime):
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "lightning_dqn", "play", f"checkpoint={run_folder}"),
            *("browser=false", f"runtime={runtime}"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        address = line.split()[2]
        assert address.startswith("http://127.0.0.1:")
        types = {"": "text/html", "play.js": "text/javascript", "game.json": "application/json"}
        types |= {f"onnxruntime/{browser_runtime.FILES[0]}": "text/javascript"}
        types |= {f"onnxruntime/{browser_runtime.FILES[1]}": "application/wasm"}
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


def test_a_taken_port_is_named(command, run_folder, runtime):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        error = refusal(command, f"checkpoint={run_folder}", f"port={port}", f"runtime={runtime}")
    assert f"port={port}" in error


def test_a_checkpoint_of_another_environment_is_told_what_can_be_played(command, tmp_path):
    save_weights(untrained((4,), 2, None).agent, tmp_path)
    error = refusal(command, f"checkpoint={tmp_path}")
    assert "tictactoe and connect_four" in error
    assert "module:Class" in error
    error = refusal(command, f"checkpoint={tmp_path}", "game=tictactoe")
    assert "float32[4]" in error
    assert "has 9" in error


def test_a_checkpoint_of_one_game_does_not_play_another(command, run_folder):
    error = refusal(command, f"checkpoint={run_folder}", "game=connect_four")
    assert "float32[9]" in error


def test_a_game_that_is_not_there_is_named(command, run_folder):
    assert "game=nowhere:Hex" in refusal(command, f"checkpoint={run_folder}", "game=nowhere:Hex")
    assert "not a subclass" in refusal(command, f"checkpoint={run_folder}", "game=pathlib:Path")


def test_a_game_of_ones_own_needs_its_rules_for_the_page(command, runtime, tmp_path, monkeypatch):
    save_weights(untrained((1,), 2, "nim").agent, tmp_path / "run")
    monkeypatch.syspath_prepend(Path(__file__).parent)
    named = (f"checkpoint={tmp_path / 'run'}", "game=support.nim_game:Nim")
    assert "rules=<file>.js" in refusal(command, *named, f"runtime={runtime}")
    rules = tmp_path / "nim.js"
    rules.write_text("export default {};")
    site = tmp_path / "site"
    code, _, error = command(*named, f"rules={rules}", f"output={site}", f"runtime={runtime}")
    assert (code, error) == (0, "")
    assert (site / "rules" / "nim.js").read_text() == "export default {};"


def test_files_that_are_no_weights_are_refused(command, run_folder, tmp_path):
    assert "no such file" in refusal(command, f"checkpoint={tmp_path / 'nothing'}")
    text = tmp_path / "text.ckpt"
    text.write_text("not weights")
    assert str(text) in refusal(command, f"checkpoint={text}")
    cut = shutil.copytree(run_folder, tmp_path / "cut")
    weights = cut / "module.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert str(cut) in refusal(command, f"checkpoint={cut}")


def test_without_npm_there_is_still_the_terminal(command, run_folder, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    error = refusal(command, f"checkpoint={run_folder}", f"output={tmp_path / 'site'}")
    assert "no npm" in error
    assert "terminal=true" in error
    assert not (tmp_path / "site").exists()


def test_npm_that_fails_is_told_with_its_reason(monkeypatch, tmp_path):
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'npm error network is away' >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(ValueError, match="network is away"):
        browser_runtime.browser_runtime()
    assert list((tmp_path / "cache" / "lightning_dqn").iterdir()) == []


def test_a_folder_without_the_runtime_is_refused(command, run_folder, tmp_path):
    error = refusal(
        command, f"checkpoint={run_folder}", f"runtime={tmp_path}", f"output={tmp_path / 'site'}"
    )
    assert f"runtime={tmp_path}" in error


def test_a_folder_with_other_files_is_left_alone(command, run_folder, runtime, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    error = refusal(command, f"checkpoint={run_folder}", f"output={tmp_path}", f"runtime={runtime}")
    assert f"output={tmp_path}" in error
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    "argument",
    ["colour=red", "port=http", "port=true", "terminal=7", "starts=me", "score=75", "seed=x"],
)
def test_a_wrong_key_or_value_is_named(command, run_folder, argument):
    assert argument.split("=")[0] in refusal(command, f"checkpoint={run_folder}", argument)


def test_a_checkpoint_must_be_named(command):
    assert "checkpoint=null" in refusal(command, "terminal=true")


def test_the_terminal_tells_how_strong_it_plays(command, run_folder, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("q\n"))
    code, out, _ = command(f"checkpoint={run_folder}", "terminal=true", "score=0.75", "seed=0")
    assert code == 0
    assert "The agent scores 75% against a random player" in out
    assert "you are X" in out


@pytest.mark.parametrize(
    ("shape", "encoding"), [((9,), "signed"), ((18,), "planes"), ((), "index")]
)
def test_the_encoding_is_found_by_what_the_agent_takes(shape, encoding):
    spec = board_spec(shape, 9, "tictactoe")
    if encoding == "index":
        spec = type(spec)((), "int64", 9, num_states=3**9, game="tictactoe")
    assert playable_game(spec).encoding == encoding
