"""A search from its first trial to its results, whatever becomes of its trials."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.searches import Scripted, fail, finish, give_up, sweep_in

from lightning_dqn.reporting.optuna_study import (
    JOURNAL,
    PRUNER,
    STUDY,
    UNKNOWN_METRIC,
    make_pruner,
    open_storage,
)
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.jobs import SweepJob
from lightning_dqn.study.results_files import read_results
from lightning_dqn.study.search_conduct import conduct_search
from lightning_dqn.study.sweep import Sweep, read_sweep
from lightning_dqn.study.sweep_results import SweepResults
from lightning_dqn.system.files import SUMMARY

optuna = pytest.importorskip("optuna")


def lr_of(job: SweepJob) -> float:
    return float(next(one for one in job.overrides if one.startswith("lr="))[3:])


def number_of(job: SweepJob) -> int:
    return int(job.name.partition(",")[0].removeprefix("trial="))


def search(sweep: Sweep, launcher: Scripted, lines: list[str] | None = None) -> SweepResults:
    say = (lambda line: None) if lines is None else lines.append
    return conduct_search(sweep, launcher, at_once=1, pruner=_PRUNER, say=say)


_PRUNER = {"_target_": "optuna.pruners.MedianPruner"}


def states(folder: Path) -> list[str]:
    study = optuna.load_study(study_name=STUDY, storage=open_storage(folder / JOURNAL))
    return [trial.state.name for trial in study.trials]


def by_number(job: SweepJob, run_dir: Path) -> str | None:
    """The first two finish, the third fails, the fourth is given up."""
    number = number_of(job)
    if number == 2:
        return fail(run_dir, "boom")
    give_up(run_dir) if number == 3 else finish(run_dir, 10.0 * number)
    return None


def test_trials_have_names_that_sort_and_values_in_full(tmp_path: Path) -> None:
    launcher = Scripted(lambda job, run_dir: finish(run_dir, lr_of(job)))
    search(sweep_in(tmp_path), launcher)
    for number, job in enumerate(launcher.launched):
        assert job.name == f"trial={number:03d},lr={lr_of(job):.4g}"
        assert len(f"{lr_of(job)}") > 10
        told = ("+callbacks/prune_trial=default", f"callbacks.prune_trial.trial={number}")
        assert job.overrides == ("seed=100", f"lr={lr_of(job)}", *told)


def test_without_a_pruner_nothing_is_told_to_trials(tmp_path: Path) -> None:
    launcher = Scripted(lambda job, run_dir: finish(run_dir, 1.0))
    search(sweep_in(tmp_path, pruner="none", n_trials=1), launcher)
    assert [len(job.overrides) for job in launcher.launched] == [2]


@pytest.mark.parametrize("value", ["nan", "abc"])
def test_a_trial_with_an_evaluation_that_is_no_number_fails_by_it(
    value: str, tmp_path: Path
) -> None:
    def run(job: SweepJob, run_dir: Path) -> None:
        finish(run_dir, 1.0)
        if number_of(job) == 0:
            rows = f"time/env_steps,eval/q_rmse\n100,{value}\n200,0.5\n"
        else:
            rows = "time/env_steps,eval/q_rmse\n100,0.75\n"
        (run_dir / "metrics.csv").write_text(rows)

    sweep = sweep_in(tmp_path, n_trials=2, metric="eval/q_rmse", direction="minimize")
    results = search(sweep, Scripted(run))
    assert states(tmp_path) == ["FAIL", "COMPLETE"]
    [failure] = results.failures
    assert ("is no number" if value == "nan" else "metrics.csv: can't be read") in failure.reason


def test_each_state_has_its_own_place(tmp_path: Path) -> None:
    lines: list[str] = []
    results = search(sweep_in(tmp_path), Scripted(by_number), lines)
    assert states(tmp_path) == ["COMPLETE", "COMPLETE", "FAIL", "PRUNED"]
    assert [one.reason for one in results.failures] == ["boom"]
    assert [one.env_steps for setting in results.settings for one in setting.pruned] == [100]
    table = (tmp_path / "table.md").read_text()
    assert [line.split("|")[2].strip() for line in table.splitlines() if "trial=" in line[:9]] == [
        "finished",
        "finished",
        "failed",
        "pruned",
    ]
    assert "4 trials: 2 finished, 1 pruned, 1 failed; 500 env steps, 17 % fewer" in table
    rows = list(csv.DictReader((tmp_path / "results.csv").read_text().splitlines()))
    assert [row["value"] for row in rows] == ["0", "10", "", ""]
    assert [row["pruned_at_env_steps"] for row in rows] == ["", "", "", "100"]
    assert any("pruned at 100 env steps, eval/episode_return 1" in line for line in lines)


def test_pruned_trials_are_no_failures(tmp_path: Path) -> None:
    launcher = Scripted(lambda job, run_dir: give_up(run_dir))
    results = search(sweep_in(tmp_path), launcher)
    assert results.failures == ()
    assert results.best is None


def test_the_best_is_the_trial_of_the_best_value_with_its_command(tmp_path: Path) -> None:
    launcher = Scripted(by_number)
    results = search(sweep_in(tmp_path), launcher)
    best = launcher.launched[1]
    assert results.best is not None
    assert results.best.name == best.name
    words = f"python -m lightning_dqn lr={lr_of(best)} seed=100"
    assert results.best.command == words
    again = read_results(tmp_path)
    assert again.best is not None
    assert (again.best.name, str(again)) == (best.name, str(results))


@pytest.mark.parametrize(
    ("asked", "number", "value"),
    [
        ({"metric": "eval/length"}, 0, 7.0),
        ({"metric": "eval/length", "direction": "minimize"}, 0, 5.0),
        ({"metric": "eval/episode_return", "direction": "minimize"}, 0, 1.0),
        ({"metric": "eval/episode_return"}, 3, 8.0),
        ({"direction": "minimize"}, 0, 2.0),
    ],
)
def test_what_a_trial_is_worth(
    asked: dict[str, Any], number: int, value: float, tmp_path: Path
) -> None:
    launcher = Scripted(lambda job, run_dir: finish(run_dir, 2.0 + 2 * number_of(job)))
    results = search(sweep_in(tmp_path, **asked), launcher)
    assert results.best is not None
    assert results.best.value == value
    assert results.best.name == launcher.launched[number].name


def test_a_metric_that_no_run_logs_ends_the_search_at_the_first_trial(tmp_path: Path) -> None:
    launcher = Scripted(lambda job, run_dir: finish(run_dir, 1.0))
    told = r"^sweep.metric=eval/nope: no run logs it; there are eval/episode_return, eval/length$"
    with pytest.raises(ConfigError, match=told):
        search(sweep_in(tmp_path, metric="eval/nope"), launcher)
    assert len(launcher.launched) == 1


def test_likewise_where_the_trial_itself_failed_of_it(tmp_path: Path) -> None:
    reason = UNKNOWN_METRIC.format("eval/nope", "eval/length")
    launcher = Scripted(lambda job, run_dir: fail(run_dir, reason))
    with pytest.raises(ConfigError, match=r"^sweep.metric=eval/nope: no run logs it"):
        search(sweep_in(tmp_path, metric="eval/nope"), launcher)
    assert len(launcher.launched) == 1


def test_a_value_that_is_no_number_is_a_failure(tmp_path: Path) -> None:
    launcher = Scripted(lambda job, run_dir: finish(run_dir, float("nan")))
    results = search(sweep_in(tmp_path, n_trials=2), launcher)
    assert len(results.failures) == 2
    assert states(tmp_path) == ["FAIL", "FAIL"]


@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_trials_that_do_worse_are_given_up_from_where_they_run(pruner: str, tmp_path: Path) -> None:
    def script(job: SweepJob, run_dir: Path) -> None:
        study = optuna.load_study(study_name=STUDY, storage=open_storage(tmp_path / JOURNAL))
        study.pruner = make_pruner(study.user_attrs[PRUNER])
        trial = optuna.trial.Trial(study, number_of(job))
        for step in range(100, 900, 100):
            trial.report(lr_of(job) * step, step)
            if trial.should_prune():
                return give_up(run_dir)
        return finish(run_dir, lr_of(job) * 800)

    sweep = sweep_in(tmp_path, sampler="tpe", n_trials=12, pruner=pruner)
    assert sweep.search is not None
    launcher = Scripted(script)
    asked = sweep.search.pruner_asked(100, 8)
    results = conduct_search(sweep, launcher, at_once=1, pruner=asked, say=lambda line: None)
    assert 3 <= states(tmp_path).count("PRUNED") < 12
    assert results.best is not None
    finished = [one for one in launcher.launched if (tmp_path / one.name / SUMMARY).is_file()]
    assert results.best.name == max(finished, key=lr_of).name


class Killed(BaseException):
    """What ends the process of a search."""


def killed_at(number: int) -> Scripted:
    def script(job: SweepJob, run_dir: Path) -> None:
        if number_of(job) == number:
            (run_dir / "checkpoints").mkdir(parents=True)
            (run_dir / "checkpoints" / "last.ckpt").touch()
            raise Killed
        finish(run_dir, number_of(job))

    return Scripted(script)


def test_a_search_that_was_killed_goes_on_with_the_same_trial(tmp_path: Path) -> None:
    first = killed_at(2)
    with pytest.raises(Killed):
        search(sweep_in(tmp_path), first)
    again = read_sweep(tmp_path)
    assert [job.name for job in again.pending] == [first.launched[2].name]
    second = Scripted(lambda job, run_dir: finish(run_dir, number_of(job)))
    results = search(again, second)
    assert second.launched[0] == first.launched[2]
    assert [number_of(job) for job in second.launched] == [2, 3]
    assert states(tmp_path) == ["COMPLETE"] * 4
    assert len(results.settings) == 4


def test_what_ended_while_nobody_was_there_to_tell_isnt_run_again(tmp_path: Path) -> None:
    first = killed_at(2)
    with pytest.raises(Killed):
        search(sweep_in(tmp_path), first)
    finish(tmp_path / first.launched[2].name, 7.0)
    second = Scripted(lambda job, run_dir: finish(run_dir, 1.0))
    results = search(read_sweep(tmp_path), second)
    assert [number_of(job) for job in second.launched] == [3]
    assert results.settings[2].value == 7.0


def test_a_finished_search_goes_on_when_more_trials_are_asked_for(tmp_path: Path) -> None:
    sweep = sweep_in(tmp_path, n_trials=2)
    first = Scripted(by_number)
    search(sweep, first)
    assert sweep.search is not None
    more = replace(read_sweep(tmp_path), search=replace(sweep.search, n_trials=5))
    second = Scripted(by_number)
    results = search(more, second)
    assert [number_of(job) for job in second.launched] == [2, 3, 4]
    drawn = {lr_of(job) for job in (*first.launched, *second.launched)}
    assert len(drawn) == 5, "the sampler doesn't begin anew"
    assert len(results.settings) == 5


def test_failures_of_before_are_named_still(tmp_path: Path) -> None:
    search(sweep_in(tmp_path), Scripted(by_number))
    results = search(read_sweep(tmp_path), Scripted(by_number))
    assert [one.reason for one in results.failures] == ["boom"]


def test_the_folder_says_what_is_searched(tmp_path: Path) -> None:
    sweep = sweep_in(tmp_path)
    search(sweep, Scripted(by_number))
    saved = json.loads((tmp_path / "sweep.json").read_text())
    assert saved["search"]["params"] == {"lr": "interval(0.0,1.0)"}
    assert read_sweep(tmp_path).search == sweep.search
