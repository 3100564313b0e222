"""What ``--help`` prints, at what cost."""

import subprocess
import sys

import pytest

from lightning_dqn.commands import train
from lightning_dqn.commands.help import help_text
from lightning_dqn.commands.main import COMMANDS
from lightning_dqn.runs.compose import Composer


def test_help_shows_the_values_that_the_other_arguments_set(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    train.main(["data.batch_size=7", "--help", "+callbacks/matches=default"])
    lines = capsys.readouterr().out.splitlines()
    [line] = [line for line in lines if line.startswith("  data.batch_size=")]
    assert line.split("=7 ")[1].strip() == "transitions in a minibatch"
    assert any(line.startswith("  callbacks.matches.games=") for line in lines)
    assert list(tmp_path.iterdir()) == []


def test_help_names_the_options_of_every_group(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Composer([]) as composer:
        text = help_text(composer.config(), composer.groups())
    head, _, keys = text.partition("\nKeys (key=value)\n")
    choices = dict(line.split(maxsplit=1) for line in head.splitlines() if line.startswith("  m"))
    assert choices["module/optimizer"] == "adam, adamw, radam, rmsprop, sgd"
    assert "rainbow" in head.partition("  algorithm ")[2].splitlines()[0]
    assert "matches=default" not in keys


def test_help_names_the_users_own_options_too(tmp_path, monkeypatch, capsys):
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "mine.yaml").write_text("# @package _global_\nseed: 9\n")
    monkeypatch.chdir(tmp_path)
    train.main(["--help", "+experiment=mine"])
    out = capsys.readouterr().out
    assert ", mine, " in out.partition("  experiment ")[2].splitlines()[0]
    assert "\n  seed=9 " in out


def test_a_mistake_beside_help_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        train.main(["--help", "data.batchsize=1"])
    assert stop.value.code == 2
    assert "did you mean data.batch_size?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "text"),
    [("", "data.batch_size=128"), *((name, "python -m lightning_dqn") for name in COMMANDS)],
)
def test_help_needs_no_torch(command, text, tmp_path):
    code = (
        f"import sys; sys.argv = ['lightning-dqn', *'{command} --help'.split()]\n"
        "from lightning_dqn.commands.main import main; main()\n"
        "assert 'torch' not in sys.modules and 'wandb' not in sys.modules"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert text in result.stdout


def test_help_ends_quietly_when_its_reader_has_left(tmp_path):
    program = f"{sys.executable} -m lightning_dqn --help | head -1"
    result = subprocess.run(program, shell=True, cwd=tmp_path, capture_output=True, text=True)
    assert result.stdout.startswith("Deep Q-learning")
    assert result.stderr == ""
