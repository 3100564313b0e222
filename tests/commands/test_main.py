"""Which command it is; training where none is named."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import lightning_dqn
from lightning_dqn.commands.main import COMMANDS, main

VERBS = {
    "train": "train",
    "dashboard": "dashboard",
    "doctor": "doctor",
    "evaluate": "evaluate",
    "export": "export",
    "import": "import_weights",
    "import_weights": "import_weights",
    "play": "play",
    "record": "record",
    "report": "report",
    "resume": "resume",
    "study": "study",
    "suite": "suite",
    "watch": "watch",
}

ALL = (
    "there are train, dashboard, doctor, evaluate, export, import, play, record, report, resume, "
    "study, suite, watch"
)


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """Commands and their arguments, in place of what they would do."""
    found: list[tuple[str, list[str]]] = []

    def instead(verb: str, arguments: Sequence[str]) -> None:
        found.append((verb, list(arguments)))

    for name in set(VERBS.values()):
        module = importlib.import_module(f"lightning_dqn.commands.{name}")
        monkeypatch.setattr(module, "main", lambda arguments, name=name: instead(name, arguments))
    return found


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_reaches_its_command(verb: str, called: list[tuple[str, list[str]]]) -> None:
    main([verb, "a=1", "--help"])
    assert called == [(VERBS[verb], ["a=1", "--help"])]


@pytest.mark.parametrize("verb", sorted(set(VERBS) - {"import_weights"}))
def test_keys_of_the_configuration_may_have_dashes(
    verb: str, called: list[tuple[str, list[str]]]
) -> None:
    main([verb, "--seed=1"])
    takes_keys = verb in {"train", "doctor", "import", "resume", "study", "suite"}
    assert called[0][1] == ["seed=1" if takes_keys else "--seed=1"]


def test_there_are_these_verbs_and_no_others() -> None:
    assert set(COMMANDS) == set(VERBS) - {"import_weights"}


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["seed=1", "export"],
        ["+experiment=cartpole", "seed=1"],
        ["-m", "seed=0,1"],
        ["--help"],
        ["resume=runs/x"],
        ["study=1"],
    ],
    ids=str,
)
def test_where_no_word_comes_first_it_is_training(
    arguments: list[str], called: list[tuple[str, list[str]]]
) -> None:
    main(arguments)
    assert called == [("train", arguments)]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(["evaluate", "run=x"], ("evaluate", ["run=x"])), ([], ("train", []))],
)
def test_the_arguments_are_those_of_the_process_unless_given(
    arguments: list[str],
    expected: tuple[str, list[str]],
    called: list[tuple[str, list[str]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["lightning-dqn", *arguments])
    main()
    assert called == [expected]


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("trian", "did you mean train?"),
        ("Train", "did you mean train?"),
        ("nonsense", ALL),
        ("runs/cartpole/x", ALL),
    ],
)
def test_an_unknown_word_is_refused_in_one_line_that_names_the_commands(
    word: str,
    hint: str,
    called: list[tuple[str, list[str]]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as stop:
        main([word, "seed=1"])
    assert stop.value.code == 2
    assert called == []
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"lightning-dqn: {word}: no such command; {hint}\n"


def test_an_interruption_is_told_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(arguments: Sequence[str]) -> None:
        raise KeyboardInterrupt

    module = importlib.import_module("lightning_dqn.commands.train")
    monkeypatch.setattr(module, "main", interrupted)
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 130
    assert capsys.readouterr().err == "\nlightning-dqn: stopped by SIGINT\n"
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(KeyboardInterrupt):
        main([])


def test_what_takes_long_to_import_comes_where_an_interruption_is_heard() -> None:
    program = "import sys, lightning_dqn.commands.main; sys.exit('hydra' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_the_version_is_ours(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--version"])
    assert capsys.readouterr().out == f"lightning-dqn {lightning_dqn.__version__}\n"


def test_modules_of_the_working_directory_are_found_last(
    called: list[tuple[str, list[str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    main([])
    assert sys.path[-1] == str(tmp_path)
