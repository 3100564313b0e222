"""Which command it is; training where none is named."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import pytest

from lightning_dqn.commands.main import COMMANDS, main

VERBS = ("train", "evaluate", "export", "import_weights", "play", "study")


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """Commands and their arguments, in place of what they would do."""
    found: list[tuple[str, list[str]]] = []

    def instead(verb: str, arguments: Sequence[str]) -> None:
        found.append((verb, list(arguments)))

    for verb in VERBS:
        module = importlib.import_module(f"lightning_dqn.commands.{verb}")
        monkeypatch.setattr(module, "main", lambda arguments, verb=verb: instead(verb, arguments))
    return found


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_reaches_its_command(verb: str, called: list[tuple[str, list[str]]]) -> None:
    main([verb, "a=1", "--help"])
    assert called == [(verb, ["a=1", "--help"])]


def test_there_are_these_verbs_and_no_others() -> None:
    assert sorted(COMMANDS) == sorted(VERBS)


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


@pytest.mark.parametrize("word", ["trian", "command", "help", "Train"])
def test_an_unknown_word_is_refused_in_one_line_that_names_the_commands(
    word: str, called: list[tuple[str, list[str]]], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main([word, "seed=1"])
    assert stop.value.code == 2
    assert called == []
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        f"lightning-dqn: {word}: no such command; there are "
        "train, evaluate, export, import_weights, play, study\n"
    )
