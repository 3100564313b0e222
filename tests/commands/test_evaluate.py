"""The command that evaluates: its keys, what it prints and how it refuses."""

import numpy as np
import pytest
from support.processes import command

from lightning_dqn.collecting.evaluation import EvaluationConfig
from lightning_dqn.commands import evaluate


def test_the_evaluate_command_repeats_the_test_of_the_run(finished_run):
    run, result = finished_run
    again = command("evaluate", f"run={run}", "num_envs=2", "episodes_per_env=1", cwd=run)
    assert again.returncode == 0, again.stderr
    tested = result.stdout.split("return ")[-1].split(" over")[0]
    assert f"return {tested} over 2 episodes" in again.stdout


@pytest.fixture
def given(monkeypatch):
    """The options that reached the evaluation, in place of it."""
    found = []

    def instead(options):
        found.append(options)
        return np.array([1.0, 2.0, 6.0])

    monkeypatch.setattr(evaluate, "evaluate", instead)
    return found


def test_returns_are_summed_up_in_a_line(given, capsys):
    evaluate.main(["run=runs/x"])
    assert capsys.readouterr().out == (
        "return 3.0 ± 2.2 over 3 episodes (min 1.0, median 2.0, max 6.0)\n"
    )


def test_what_is_not_given_has_its_default(given):
    evaluate.main(["run=runs/x", "epsilon=0.1", "checkpoint=a.ckpt"])
    assert given == [
        {
            "run": "runs/x",
            "checkpoint": "a.ckpt",
            "num_envs": 10,
            "episodes_per_env": 10,
            "epsilon": 0.1,
            "seed": None,
            "max_episode_steps": "auto",
        }
    ]


def test_the_defaults_are_the_episodes_of_a_runs_own_test():
    own = EvaluationConfig()
    assert evaluate.DEFAULTS["num_envs"] == own.num_envs
    assert evaluate.DEFAULTS["episodes_per_env"] == own.test_episodes_per_env


def test_help_names_every_key(capsys):
    evaluate.main(["--help"])
    out = capsys.readouterr().out
    assert all(f"\n  {key}" in out for key in evaluate.DEFAULTS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["epsilon=0.1"], "run=null: name the folder of a run, as run=runs/cartpole/<time>"),
        (["run=nowhere"], "run=nowhere: nowhere/.hydra/config.yaml is missing, so this is not"),
        (["runs=x"], "runs: no such key; there are run, checkpoint, num_envs, episodes_per_env"),
        (["run=["], "run=[: can't be read"),
    ],
)
def test_a_mistake_is_told_in_one_line_with_exit_code_2(
    arguments, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        evaluate.main(arguments)
    assert stop.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"lightning-dqn: {message}")
    assert captured.err.count("\n") == 1
