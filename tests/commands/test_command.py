"""Commands of a few keys: what they print, and how they end."""

from __future__ import annotations

import pytest

from lightning_dqn.commands.command import read_options, run_command
from lightning_dqn.runs.build import ConfigError

DEFAULTS = {"run": None, "num_envs": 10}


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["run=x", "--help"]])
def test_help_is_printed_and_nothing_done(arguments, capsys):
    run_command(arguments, "how to", lambda given: pytest.fail(f"acted on {given}"))
    assert capsys.readouterr().out == "how to\n"


def test_a_mistake_is_one_line_and_exit_code_2(capsys):
    def act(arguments: list[str]) -> None:
        raise ValueError(f"run={arguments}: there is no such folder")

    with pytest.raises(SystemExit) as stop:
        run_command(["a"], "how to", act)
    assert stop.value.code == 2
    assert capsys.readouterr().err == "lightning-dqn: run=['a']: there is no such folder\n"


def test_what_is_not_given_has_its_default():
    options = read_options(["run=runs/x"], DEFAULTS)
    assert dict(options) == {"run": "runs/x", "num_envs": 10}


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("runs=x", r"^runs: no such key; there are run, num_envs$"),
        ("run=[", r"^run=\[: can't be read \("),
        ("run=${x", r"^run=\$\{x: can't be read \("),
    ],
)
def test_keys_and_values_that_can_not_be_read_are_refused(argument, message):
    with pytest.raises(ConfigError, match=message):
        read_options([argument], DEFAULTS)
