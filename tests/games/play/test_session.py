"""A session: what of a trained agent is played, written or served, and what is refused."""

import io
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from support.board_agents import taught_tictactoe, untrained
from support.playing import write_runtime, write_taught_run
from support.short_runs import small_run

from lightning_dqn.commands.play import PlayOptions
from lightning_dqn.formats.saved import save_weights
from lightning_dqn.games.play import session
from lightning_dqn.games.play.runtime import FILES, PAGE
from lightning_dqn.games.tictactoe import TicTacToe
from lightning_dqn.runs.finished.finished_run import FinishedRun
from lightning_dqn.runs.trust import Trust


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory) -> Path:
    return write_taught_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def runtime(tmp_path_factory) -> Path:
    """A folder with files of the runtime's names."""
    return write_runtime(tmp_path_factory.mktemp("runtime"))


def played(**given) -> None:
    """Play with these options of the command."""
    texts = {name: str(v) if isinstance(v, Path) else v for name, v in given.items()}
    checkpoint = texts.pop("checkpoint")
    run = FinishedRun.find(checkpoint, Trust.of(texts.get("trust")))
    session.play(run, PlayOptions(run=checkpoint, **texts))


def refusal(**given) -> str:
    """Return the one line that these options are refused with."""
    with pytest.raises(ValueError) as refused:
        played(**given)
    error = str(refused.value)
    assert len(error.splitlines()) == 1
    return error


def test_the_folder_is_a_whole_site(run_folder, runtime, tmp_path, capsys):
    site = tmp_path / "deep" / "site"
    played(checkpoint=run_folder, output=site, runtime=runtime)
    captured = capsys.readouterr()
    assert captured.err == ""
    assert str(site) in captured.out
    found = {str(path.relative_to(site)) for path in site.rglob("*") if path.is_file()}
    scripts = {path.name for path in PAGE.glob("*.js")}
    assert found == scripts | {
        "index.html",
        "style.css",
        "icon.svg",
        "game.json",
        "model.onnx",
        "rules/tictactoe.js",
        *(f"onnxruntime/{name}" for name in FILES),
    }
    game = json.loads((site / "game.json").read_text())
    assert (game["game"], game["encoding"], game["shape"]) == ("tictactoe", "signed", [9])
    assert game["strengths"][0]["temperature"] == 0
    assert game["strengths"][-1]["temperature"] is None
    assert game["training"].startswith("Trained for 12,345 env steps, 678 updates")
    played(checkpoint=run_folder, output=site, runtime=runtime)  # once more, over itself


def test_the_model_in_the_folder_is_the_agent(run_folder, runtime, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    played(checkpoint=run_folder, output=tmp_path / "site", runtime=runtime)
    session = onnxruntime.InferenceSession(str(tmp_path / "site" / "model.onnx"))
    game = TicTacToe()
    observation = game.encode(game.apply(game.initial_state(1), np.array([4])))
    [q_values] = session.run(["q_values"], {"observation": observation})
    expected = taught_tictactoe().q_values(observation).numpy()
    np.testing.assert_allclose(q_values, expected, atol=1e-5)


def test_a_page_that_can_not_be_written_leaves_no_folder(run_folder, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    error = refusal(checkpoint=run_folder, output=tmp_path / "site")
    assert "no npm" in error
    assert "terminal=true" in error
    assert not (tmp_path / "site").exists()


def test_a_folder_without_the_runtime_is_refused(run_folder, tmp_path):
    error = refusal(checkpoint=run_folder, runtime=tmp_path, output=tmp_path / "site")
    assert f"runtime={tmp_path}" in error


def test_a_folder_with_other_files_is_left_alone(run_folder, runtime, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    error = refusal(checkpoint=run_folder, output=tmp_path, runtime=runtime)
    assert f"output={tmp_path}" in error
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_game_of_ones_own_needs_its_rules_for_the_page(runtime, tmp_path):
    save_weights(untrained((1,), 2, "nim").agent, tmp_path / "run")
    named = {"checkpoint": tmp_path / "run", "game": "support.nim_game:Nim", "runtime": runtime}
    site = tmp_path / "site"
    assert "rules=<file>.js" in refusal(**named, output=site)
    rules = tmp_path / "nim.js"
    rules.write_text("export default {};")
    played(**named, rules=rules, output=site)
    assert (site / "rules" / "nim.js").read_text() == "export default {};"


BOARD = (
    "environment.id=lightning_dqn/BoardGame-v0",
    "+environment.kwargs.game._target_=support.passing_game.Between",
    "+environment.kwargs.game.cells=2",
    "data.replay.gamma=-0.9",
    "module.network.hidden=[8]",
)


def test_a_game_of_ones_own_is_made_as_the_run_that_learned_it_says(tmp_path, monkeypatch, capsys):
    small_run(tmp_path, *BOARD)
    monkeypatch.setattr(sys, "stdin", io.StringIO("q\n"))
    played(checkpoint=tmp_path, terminal=True, trust="support")
    assert "other moves: pass:" in capsys.readouterr().out
    assert "trust=support takes it" in refusal(checkpoint=tmp_path, terminal=True)
    error = refusal(checkpoint=tmp_path, game="support.passing_game:Between", terminal=True)
    assert "missing 1 required positional argument: 'cells'" in error
    assert error.endswith("with trust=support in place of game= it is made as the run says")


def test_of_an_interrupted_run_the_page_has_the_best_checkpoint(runtime, tmp_path):
    run = tmp_path / "run"
    small_run(
        run, "environment.id=lightning_dqn/TicTacToe-v0", "+environment.kwargs.opponent=random"
    )
    for name in ("module.safetensors", "module.json", "summary.json"):
        (run / name).unlink()
    played(checkpoint=run, output=tmp_path / "site", runtime=runtime)
    game = json.loads((tmp_path / "site" / "game.json").read_text())
    found = FinishedRun.find(run / "checkpoints" / "best.ckpt").counters()
    assert game["training"] == (
        f"Trained for {found['env_steps']} env steps, {found['updates']} updates."
    )


def test_a_taken_port_is_told_before_anything_is_measured(run_folder, runtime, monkeypatch):
    monkeypatch.setattr(session, "calibrate", None)

    def taken(folder, port):
        raise ValueError(f"port={port}: taken")

    monkeypatch.setattr(session, "make_server", taken)
    assert refusal(checkpoint=run_folder, port=80, runtime=runtime) == "port=80: taken"


def test_files_that_are_no_weights_are_refused(run_folder, tmp_path):
    assert "no such file" in refusal(checkpoint=tmp_path / "nothing")
    text = tmp_path / "text.ckpt"
    text.write_text("not weights")
    assert str(text) in refusal(checkpoint=text)
    cut = shutil.copytree(run_folder, tmp_path / "cut")
    weights = cut / "module.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert str(cut) in refusal(checkpoint=cut)


def test_a_checkpoint_of_another_environment_is_refused(tmp_path):
    save_weights(untrained((4,), 2, None).agent, tmp_path)
    error = refusal(checkpoint=tmp_path)
    assert "tictactoe and connect_four" in error
    assert "module:Class" in error


def test_the_terminal_tells_how_strong_it_plays(run_folder, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("q\n"))
    played(checkpoint=run_folder, terminal=True, score=0.75, seed=0)
    out = capsys.readouterr().out
    assert "The agent scores 75% against a random player" in out
    assert "you are X" in out


def test_the_terminal_says_nothing_of_strength_at_its_best(run_folder, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("q\n"))
    played(checkpoint=run_folder, terminal=True, starts="agent")
    out = capsys.readouterr().out
    assert "scores" not in out
    assert "agent begins" in out


@pytest.mark.parametrize(
    ("counters", "test_return", "line"),
    [
        ((678, 12_345), 0.9, "Trained for 12,345 env steps, 678 updates; mean test return 0.90."),
        ((678, 12_345), None, "Trained for 12,345 env steps, 678 updates."),
        ((), 0.9, "Mean test return 0.90."),
        ((), None, ""),
    ],
)
def test_a_line_tells_of_the_training_what_is_known(counters, test_return, line):
    class Run:
        def counters(self):
            return dict(zip(("updates", "env_steps"), counters, strict=False))

        def test_return(self):
            return test_return

    assert session._training(Run()) == line
