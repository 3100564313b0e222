"""What a study came to: its results and tables, from its runs' files."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest
from support.fake_studies import made_results

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.study import study
from lightning_dqn.study.results import (
    Failure,
    Results,
    duration,
    labels,
    markdown,
    read_results,
    read_run,
    write_results,
)


def test_results_are_read_as_they_were_written(tmp_path):
    results = made_results(tmp_path, "a", overrides=("+a=1",), env_steps=7)
    failed = Results(**{**vars(results), "failures": (Failure(9, "exit code 1", "seed_9.log"),)})
    for written in (results, failed):
        notes = write_results(written)
        assert read_results(tmp_path) == written
        assert notes[:3] == [f"seed {seed}: no evaluations to draw" for seed in (0, 1, 2)]
        assert not (tmp_path / "curve.csv").exists()
    assert "failed" in (tmp_path / "table.md").read_text()
    assert json.loads((tmp_path / "results.json").read_text())["aggregate"]["iqm"] == 2.0


@pytest.mark.parametrize("text", [None, "{}", "not JSON", '{"name": "a", "runs": [{}]}', "[]"])
def test_what_is_no_finished_study_is_refused(text, tmp_path):
    if text is not None:
        (tmp_path / "results.json").write_text(text)
    with pytest.raises(ConfigError, match=r"results\.json: not the results of a finished study"):
        read_results(tmp_path)


def test_a_run_that_was_not_tested_is_refused(fake_runs):
    study.run_study([], seeds=[1], folder="study")
    path = Path("study", "seed_1", "summary.json")
    path.write_text(path.read_text().replace('"episode_return": 10.0', '"episode_return": null'))
    with pytest.raises(ConfigError, match=r"summary\.json: the run played no test episodes"):
        read_run(Path("study"), path.parent)


def test_a_table_reads_as_markdown_and_as_text():
    assert markdown([["a", "bb"], ["ccc", "d"]]).splitlines() == [
        "| a   | bb |",
        "| --- | -: |",
        "| ccc |  d |",
    ]


def test_the_table_of_a_study_has_a_row_for_each_seed_and_one_for_all(tmp_path):
    results = made_results(tmp_path, "a", (1.0, 2.0, 3.0, 10.0), env_steps=12_345)
    text = str(Results(**{**vars(results), "failures": (Failure(9, "exit code 1", "x.log"),)}))
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in text.splitlines()]
    assert rows[2] == ["0", "1.0", "0.0", "100", "12,345", "9", "31 s"]
    assert rows[6][:2] == ["9", "failed"]
    assert rows[-1][:2] == ["a", "4 of 5"]
    assert rows[-1][2].startswith("2.5 [")
    assert rows[-1][3:] == ["4.0", "2.5", "1.0", "10.0", "12,345", "31 s"]


def test_the_curve_of_a_study_joins_its_runs(fake_runs):
    study.run_study([], seeds=[2, 4], folder="study")
    head, *points = Path("study", "curve.csv").read_text().splitlines()
    assert head == "env_steps,iqm,low,high"
    # Seed 2 goes from (102, 2) to (202, 4), seed 4 from (104, 4) to (204, 8).
    assert [float(value) for value in points[0].split(",")] == [104, 3.02, 2.04, 4]
    assert [float(value) for value in points[-1].split(",")] == [202, 5.96, 4, 7.92]


def test_namesakes_are_told_apart_by_what_differs(tmp_path):
    def asked(name: str, *overrides: str, folder: str = "study") -> Results:
        return made_results(tmp_path / folder, name, overrides=overrides)

    assert labels([asked("a", "x=1"), asked("b", "x=2")]) == ["a", "b"]
    assert labels([asked("a", "x=1"), asked("a", "x=1", "y=2")]) == ["a", "a y=2"]
    assert labels([asked("a"), asked("a", folder="other")]) == ["a", "a (other)"]


def test_a_single_run_has_no_interval(tmp_path):
    results = made_results(tmp_path, "a", returns=(3.0,))
    assert results.interval is None
    assert "3.0 [" not in str(results)


def test_a_study_of_no_finished_run_has_no_statistics(tmp_path):
    results = made_results(tmp_path, "a", returns=())
    assert results.aggregate() == {}
    assert write_results(results) == []
    assert read_results(tmp_path).returns.shape == (0,)


@pytest.mark.parametrize(
    ("seconds", "text"), [(31.2, "31 s"), (600, "10 min"), (12_240, "3.4 h"), (99.4, "99 s")]
)
def test_times_are_for_people(seconds, text):
    assert duration(seconds) == text


@pytest.fixture(scope="module")
def results_program():
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "results.py"
    spec = importlib.util.spec_from_file_location("benchmark_results", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["benchmark_results"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["benchmark_results"]


def test_the_table_of_results_states_what_the_runs_came_to(results_program, tmp_path):
    overrides = ("+experiment=acrobot",)
    finished = made_results(tmp_path, "acrobot", (-70.0, -75.0, -80.0), overrides, env_steps=99_999)
    row = results_program.table({"acrobot": finished}).splitlines()[2]
    cells = [cell.strip() for cell in row.strip("| ").split(" | ")]
    assert cells == [
        "`+experiment=acrobot`",
        "99,999",
        "≥ -77",
        "-75.0 [-80.0, -70.0]",
        "-80.0 to -70.0",
        "3",
        "31 s",
        "0123456",
        "a CPU",
    ]
    assert results_program.complaints("acrobot", finished) == [], "the worst seed may be below"


def test_what_missed_the_mark_is_named(results_program, tmp_path):
    study = made_results(tmp_path, "cartpole", (500.0, 470.0), env_steps=60_000)
    failed = Results(**{**vars(study), "failures": (Failure(7, "exit code 1", "seed_7.log"),)})
    assert results_program.complaints("cartpole", failed) == [
        "cartpole, seed 7: failed, exit code 1",
        "cartpole, seed 0: 60,000 env steps are more than 50,000",
        "cartpole, seed 1: 60,000 env steps are more than 50,000",
        "cartpole: 485.0 is below 500",
    ]
    assert "2 of 3" in results_program.table({"cartpole": failed})


def test_what_every_seed_must_reach_is_held_against_each(results_program, tmp_path):
    study = made_results(tmp_path, "mountain_car", (-99.0, -101.5, -100.0), env_steps=119_000)
    assert results_program.complaints("mountain_car", study) == [
        "mountain_car, seed 1: -101.5 is below -101"
    ]
    assert "≥ -101, every seed" in results_program.table({"mountain_car": study})
