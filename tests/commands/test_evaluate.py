"""The command that evaluates: its keys, what it prints and how it refuses."""

import json

import pytest
from support.processes import command

from lightning_dqn.collecting.evaluation import EvaluationRules
from lightning_dqn.commands import evaluate
from lightning_dqn.commands.command import usage
from lightning_dqn.runs.finished import evaluate as episodes_of
from lightning_dqn.runs.finished.finished_run import FinishedRun
from lightning_dqn.transitions import Episode


def test_the_evaluate_command_repeats_the_test_of_the_run(finished_run):
    run, result = finished_run
    again = command("evaluate", str(run), cwd=run)
    assert again.returncode == 0, again.stderr
    tested = result.stdout.split("return ")[-1].split(" over")[0]
    assert f"return {tested} over 2 episodes" in again.stdout


@pytest.fixture
def given(monkeypatch):
    """The options that reached the evaluation, in place of it."""
    found = []

    def instead(run, **options):
        found.append({"run": run, **options})
        episodes = [Episode(1.0, 10), Episode(2.0, 20), Episode(6.0, 3_000, is_cut=True)]
        return episodes_of.Outcome(episodes, EvaluationRules(0.001, 3_000), ["a note"])

    monkeypatch.setattr(episodes_of, "evaluate", instead)
    monkeypatch.setattr(FinishedRun, "find", lambda path, trust: path)
    return found


def test_returns_are_summed_up_and_episodes_listed(given, capsys):
    evaluate.main(["runs/x"])
    assert capsys.readouterr().out.splitlines() == [
        "return 3.0 ± 2.2 over 3 episodes (min 1.0, median 2.0, max 6.0)",
        "IQM 3.0, 95 % interval 1.0 to 6.0",
        "epsilon 0.001, episodes cut after 3,000 env steps",
        "a note",
        "",
        "  episode      return   env steps",
        "        0         1.0          10",
        "        1         2.0          20",
        "        2         6.0       3,000  cut",
    ]


def test_of_many_episodes_the_worst_the_middle_and_the_best_are_listed(given, capsys, monkeypatch):
    episodes = [Episode(float(-number), number) for number in range(100)]
    outcome = episodes_of.Outcome(episodes, EvaluationRules(0.0, None), [])
    monkeypatch.setattr(episodes_of, "evaluate", lambda run, **options: outcome)
    evaluate.main(["runs/x"])
    numbers = [int(line.split()[0]) for line in capsys.readouterr().out.splitlines()[6:]]
    assert numbers == [99, 98, 97, 50, 49, 48, 2, 1, 0]


def test_a_program_reads_all_as_json(given, capsys):
    evaluate.main(["runs/x", "--json"])
    outcome = json.loads(capsys.readouterr().out)
    assert outcome["run"] == "runs/x"
    assert outcome["notes"] == ["a note"]
    assert (outcome["epsilon"], outcome["max_episode_steps"]) == (0.001, 3_000)
    assert (outcome["iqm"], outcome["interval"]) == (3.0, [1.0, 6.0])
    assert outcome["episodes"][2] == {"return": 6.0, "length": 3000, "is_cut": True}


def test_what_is_not_given_has_its_default(given):
    evaluate.main(["run=runs/x", "epsilon=0.1", "checkpoint=a.ckpt"])
    assert given == [
        {
            "run": "a.ckpt",
            "num_envs": "run",
            "episodes_per_env": "run",
            "epsilon": 0.1,
            "seed": None,
            "max_episode_steps": "run",
        }
    ]


def test_help_is_that_of_its_options(capsys):
    evaluate.main(["--help"])
    assert capsys.readouterr().out == usage(evaluate.EvaluateOptions) + "\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["epsilon=0.1"], "run=: name its folder, or a checkpoint in it, as run=..."),
        (["run=nowhere"], "run=nowhere: there is no such file or folder"),
        (["runs=x"], "runs: no such key; did you mean run? there are run, num_envs"),
        (["x", "seed=abc"], "seed='abc': expected a whole number or null"),
        (["x", "num_envs=0"], "num_envs=0: expected a number from 1"),
        (["x", "epsilon=3"], "epsilon=3: expected a number from 0 to 1"),
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
