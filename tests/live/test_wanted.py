"""Where a dashboard is shown, and where in colours."""

import io
import os

import pytest

from lightning_dqn.live import guard, wanted
from lightning_dqn.live.wanted import has_colour, why_not

GOOD = {"TERM": "xterm"}


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(os, "isatty", lambda number: True)
    monkeypatch.setattr(os, "get_terminal_size", lambda number: os.terminal_size((80, 24)))
    monkeypatch.setattr(guard, "is_foreground", lambda number: True)
    monkeypatch.setattr(guard, "modes_of", lambda number: "sane")
    return monkeypatch


def test_a_terminal_of_80x24_in_the_foreground_is_one(terminal):
    assert why_not(GOOD) == ""


@pytest.mark.parametrize(
    ("environment", "reason"),
    [({}, "dumb"), ({"TERM": "dumb"}, "dumb"), ({**GOOD, "CI": "true"}, "CI job")],
)
def test_what_the_environment_says_against_it(terminal, environment, reason):
    assert reason in why_not(environment)


def test_a_file_a_small_terminal_and_the_background_are_none(terminal):
    terminal.setattr(os, "get_terminal_size", lambda number: os.terminal_size((80, 23)))
    assert why_not(GOOD) == "the terminal is 80x23, and 80x24 is the least"
    terminal.setattr(guard, "is_foreground", lambda number: False)
    assert "background" in why_not(GOOD)
    terminal.setattr(wanted.sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert "UTF-8" in why_not(GOOD)
    terminal.setattr(os, "isatty", lambda number: False)
    assert why_not(GOOD) == "standard output is no terminal"


@pytest.mark.parametrize(
    ("environment", "colour"),
    [(GOOD, True), ({**GOOD, "NO_COLOR": "1"}, False), ({**GOOD, "NO_COLOR": ""}, True),
     ({"TERM": "xterm-mono"}, False)],
)  # fmt: skip
def test_colour_is_left_out_where_it_is_not_wanted(environment, colour):
    assert has_colour(environment) is colour
