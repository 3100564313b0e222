"""What a setting and a sweep came to: results and tables, from their runs' files."""

import csv
import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from support.fake_studies import made_results

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.study import study
from lightning_dqn.study.comparison import write_comparison
from lightning_dqn.study.curve import read_curves
from lightning_dqn.study.results import Failure, Results, read_run
from lightning_dqn.study.results_files import read_results, write_results
from lightning_dqn.study.sweep_results import SweepResults
from lightning_dqn.study.tables import labels


def sweep_of(folder: Path, *settings: Results) -> SweepResults:
    return SweepResults("sweep", folder, "run it", settings)


def rows_of(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("| ").split("|")] for line in text.splitlines()]


def test_results_are_read_as_they_were_written(tmp_path):
    results = made_results(tmp_path, "a", overrides=("+a=1",), env_steps=7)
    failed = replace(results, failures=(Failure(9, "boom", "seed=9"),))
    for written in (sweep_of(tmp_path, results), sweep_of(tmp_path, failed, results)):
        notes = write_results(written)
        assert read_results(tmp_path) == written
        assert sum("no evaluations to draw" in note for note in notes) == 3
        assert not (tmp_path / "curve.csv").exists()
    saved = json.loads((tmp_path / "results.json").read_text())
    assert saved["settings"][0]["aggregate"]["iqm"] == 2.0


def test_runs_that_were_changed_by_hand_are_told_and_read_back(fake_runs, tmp_path):
    change = "learning rate 0.001 from env step 12,345"
    results = made_results(tmp_path, "a")
    changed = replace(results.runs[0], run_dir="seed=0", changed_by_hand=(change,))
    written = sweep_of(tmp_path, replace(results, runs=(changed, *results.runs[1:])))
    write_results(written)
    assert read_results(tmp_path) == written
    assert str(written).endswith(f"\n\nseed=0 was changed by hand: {change}")
    assert "by hand" not in str(sweep_of(tmp_path, results))


def test_results_of_0_1_are_read(tmp_path):
    results = made_results(tmp_path, "a", overrides=("+a=1",))
    write_results(sweep_of(tmp_path, results))
    path = tmp_path / "results.json"
    [former] = json.loads(path.read_text())["settings"]
    former["failures"] = [{"seed": 9, "reason": "exit code 1", "log": "seed_9.log"}]
    path.write_text(json.dumps(former))
    read = read_results(tmp_path)
    assert read.settings[0].runs == results.runs
    assert read.failures == (Failure(9, "exit code 1", "seed_9"),)


@pytest.mark.parametrize("text", [None, "{}", "not JSON", '{"name": "a", "runs": [{}]}', "[]"])
def test_what_is_no_finished_sweep_is_refused(text, tmp_path):
    if text is not None:
        (tmp_path / "results.json").write_text(text)
    with pytest.raises(ConfigError, match=r"results\.json: not the results of a finished sweep"):
        read_results(tmp_path)


def test_the_return_of_a_run_that_was_not_tested_is_its_best_evaluation(fake_runs):
    study.run_study([], seeds=[3], folder="study")
    path = Path("study", "seed=3", "summary.json")
    saved = json.loads(path.read_text()) | {
        "episode_return": None,
        "episode_return_std": None,
        "episodes": 0,
    }
    path.write_text(json.dumps(saved))
    run = read_run(Path("study"), path.parent)
    assert run.episode_return == 6.0, "its evaluations were 3 and 6"
    found = study.run_study([], folder="study")
    assert "6.0" in str(found)
    Path("study", "seed=3", "metrics.csv").unlink()
    with pytest.raises(ConfigError, match="was neither tested nor evaluated"):
        read_run(Path("study"), path.parent)


def test_a_summary_tells_how_a_run_was_tested_and_an_older_one_does_not(fake_runs):
    study.run_study([], seeds=[3], folder="study")
    path = Path("study", "seed=3", "summary.json")
    run = read_run(Path("study"), path.parent)
    assert (run.episodes_cut, run.tested, run.evaluation) == (None, None, None)
    rules = {"epsilon": 0.001, "max_episode_steps": 10_000}
    told = {"episodes_cut": 2, "tested": "the last weights", "evaluation": rules}
    path.write_text(json.dumps(json.loads(path.read_text()) | told))
    run = read_run(Path("study"), path.parent)
    assert {name: getattr(run, name) for name in told} == told


def test_the_table_of_one_setting_has_a_row_for_each_seed_and_one_for_all(tmp_path):
    results = made_results(tmp_path, "a", (1.0, 2.0, 3.0, 10.0), env_steps=12_345)
    failed = replace(results, failures=(Failure(9, "boom", "seed=9"),))
    rows = rows_of(str(sweep_of(tmp_path, failed)))
    assert rows[2] == ["0", "1.0", "0.0", "100", "12,345", "9", "31 s"]
    assert rows[6][:2] == ["9", "failed"]
    assert rows[-1][:2] == ["a", "4 of 5"]
    assert rows[-1][2].startswith("2.5 [")
    assert rows[-1][3:] == ["4.0", "2.5", "1.0", "10.0", "12,345", "31 s"]


def test_the_best_setting_is_named_with_its_command(tmp_path):
    worse = made_results(tmp_path, "lr=1", (5.0, 6.0), overrides=("lr=1",))
    better = made_results(tmp_path, "lr=2", (8.0, 7.0), overrides=("lr=2",))
    text = str(sweep_of(tmp_path, worse, better))
    assert text.endswith("best  lr=2\n  run lr=2")
    assert [row[0] for row in rows_of(text)[2:4]] == ["lr=1", "lr=2"]


def test_a_setting_whose_bad_seeds_failed_is_not_the_best_by_that(tmp_path):
    whole = made_results(tmp_path, "lr=1", (5.0, 6.0), overrides=("lr=1",))
    lucky = made_results(tmp_path, "lr=2", (9.0,), overrides=("lr=2",))
    lucky = replace(lucky, failures=(Failure(1, "boom", "seed=1"),))
    assert sweep_of(tmp_path, whole, lucky).best == whole


@pytest.mark.parametrize(
    ("key", "one", "other"),
    [
        ("+experiment", "cartpole", "acrobot"),
        ("environment.id", "cartpole", "acrobot"),
        ("environment.game", "cartpole", "acrobot"),
        ("+environment.kwargs.map_name", "4x4", "8x8"),
        ("+environment.kwargs", "{map_name:4x4}", "{map_name:8x8}"),
    ],
)
def test_returns_of_several_environments_have_no_best(key, one, other, tmp_path):
    first = made_results(tmp_path, "a", (500.0,), overrides=(f"{key}={one}", "seed=1"))
    second = made_results(tmp_path, "b", (-80.0,), overrides=(f"{key}={other}", "seed=1"))
    assert sweep_of(tmp_path, first, second).best is None
    assert "best" not in str(sweep_of(tmp_path, first, second))


def test_other_programs_get_a_row_for_each_setting(tmp_path):
    first = made_results(tmp_path, "lr=1", (1.0, 2.0), overrides=("lr=1", "x=[1,2]"))
    none = made_results(tmp_path, "lr=2", (), overrides=("lr=2",))
    write_results(sweep_of(tmp_path, first, replace(none, failures=(Failure(0, "boom", "f"),))))
    with (tmp_path / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["setting"] == "lr=1"
    assert rows[0]["overrides"] == "lr=1 x=[1,2]"
    found = [float(rows[0][key]) for key in ("iqm", "low", "high", "mean", "min", "max")]
    assert found == [1.5, 1.0, 2.0, 1.5, 1.0, 2.0]
    assert (rows[0]["finished"], rows[0]["failed"], rows[0]["seeds"]) == ("2", "0", "0 1")
    assert (rows[0]["episodes"], rows[1]["episodes"]) == ("200", "0"), "of the tests of its runs"
    assert (rows[1]["finished"], rows[1]["failed"], rows[1]["iqm"]) == ("0", "1", "")


def test_tables_say_where_the_best_evaluation_stands_for_a_test(tmp_path):
    told = "the return is the best evaluation of each run that played no test episodes"
    tested = made_results(tmp_path, "a")
    untested = made_results(tmp_path, "b", episodes=0, episode_return_std=None)
    for settings in ((tested,), (tested, untested)):
        notes = write_results(sweep_of(tmp_path, *settings))
        is_told = untested in settings
        assert (told in (tmp_path / "table.md").read_text()) == is_told
        assert told not in notes, "it stands among the tables"
        table, _ = write_comparison(settings, tmp_path / "report")
        assert (told in table) == is_told
        assert (told in (tmp_path / "report" / "table.md").read_text()) == is_told


def test_the_curve_of_a_study_joins_its_runs(fake_runs):
    study.run_study([], seeds=[2, 4], folder="study")
    head, *points = Path("study", "curve.csv").read_text().splitlines()
    assert head == "setting,env_steps,iqm,low,high"
    # Seed 2 goes from (102, 2) to (202, 4), seed 4 from (104, 4) to (204, 8).
    assert [float(value) for value in points[0].split(",")[1:]] == [104, 3.02, 2.04, 4]
    assert [float(value) for value in points[-1].split(",")[1:]] == [202, 5.96, 4, 7.92]


def test_a_run_whose_metrics_are_faulty_is_told_and_the_others_have_a_curve(fake_runs):
    study.run_study([], seeds=[1, 2, 3, 4], folder="study")
    head = "time/env_steps,eval/episode_return"
    Path("study", "seed=2", "metrics.csv").write_text(f"{head}\n101,0\n150,nan\n203,8\n")
    Path("study", "seed=3", "metrics.csv").write_text(f"{head}\n101,abc\n")
    Path("study", "seed=4", "metrics.csv").write_text(f"{head}\n101,nan\n")
    notes = write_results(read_results("study"))
    assert notes[0] == (
        "seed 2: eval/episode_return isn't finite in 1 of 3 evaluations, the first at env step "
        "150; the curve leaves them out"
    )
    assert notes[1].startswith("seed 3: study/seed=3/metrics.csv: can't be read")
    assert notes[2].startswith("seed 4: eval/episode_return isn't finite in 1 of 1 evaluations")
    [curve] = read_curves(Path("study", "curve.csv")).values()
    assert curve.env_steps.tolist() == [101, 201]
    assert curve.iqm.tolist() == pytest.approx([0.5, (2 + 800 / 102) / 2])


@pytest.mark.parametrize("is_tested", [True, False])
def test_a_return_that_is_no_number_is_refused_by_the_name_of_its_run(is_tested, fake_runs):
    study.run_study([], seeds=[1, 2], folder="study")
    run_dir = Path("study", "seed=2")
    saved = json.loads((run_dir / "summary.json").read_text())
    saved["episode_return"] = float("nan") if is_tested else None
    (run_dir / "summary.json").write_text(json.dumps(saved))
    rows = "time/env_steps,eval/episode_return\n101,nan\n201,8\n"
    (run_dir / "metrics.csv").write_text(rows)
    told = "study/seed=2: its return is nan, and no average may hide that; find out why"
    with pytest.raises(ConfigError, match=told):
        read_run(Path("study"), run_dir)
    with pytest.raises(ConfigError, match=told):
        study.run_study([], seeds=[3], folder="study")


def test_a_sweep_has_a_curve_for_each_setting(fake_runs):
    study.run_study(["+a=1,2"], seeds=[2], folder="study")
    points = Path("study", "curve.csv").read_text().splitlines()[1:]
    assert [point.split(",")[0] for point in points] == ["a=1", "a=1", "a=2", "a=2"]
    assert Path("study", "curve.png").read_bytes().startswith(b"\x89PNG")


def test_namesakes_are_told_apart_by_what_differs(tmp_path):
    def asked(name: str, *overrides: str, folder: str = "study") -> Results:
        return made_results(tmp_path / folder, name, overrides=overrides)

    assert labels([asked("a", "x=1"), asked("b", "x=2")]) == ["a", "b"]
    assert labels([asked("a", "x=1"), asked("a", "x=1", "y=2")]) == ["a", "a y=2"]
    assert labels([asked("a"), asked("a", folder="other")]) == ["a (study)", "a (other)"]


def test_a_single_run_has_no_interval(tmp_path):
    results = made_results(tmp_path, "a", returns=(3.0,))
    assert results.interval is None
    assert "3.0 [" not in str(sweep_of(tmp_path, results))


def test_a_sweep_of_no_finished_run_has_no_statistics(tmp_path):
    results = made_results(tmp_path, "a", returns=())
    assert results.aggregate() == {}
    assert write_results(sweep_of(tmp_path, results)) == []
    assert read_results(tmp_path).settings[0].returns.shape == (0,)


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
    made = made_results(tmp_path, "cartpole", (500.0, 470.0), env_steps=60_000)
    failed = replace(made, failures=(Failure(7, "exit code 1", "seed=7"),))
    assert results_program.complaints("cartpole", failed) == [
        "cartpole, seed 7: failed, exit code 1",
        "cartpole, seed 0: 60,000 env steps are more than 50,000",
        "cartpole, seed 1: 60,000 env steps are more than 50,000",
        "cartpole: 485.0 is below 500",
    ]
    assert "2 of 3" in results_program.table({"cartpole": failed})


def test_what_every_seed_must_reach_is_held_against_each(results_program, tmp_path):
    made = made_results(tmp_path, "mountain_car", (-99.0, -101.5, -100.0), env_steps=119_000)
    assert results_program.complaints("mountain_car", made) == [
        "mountain_car, seed 1: -101.5 is below -101"
    ]
    assert "≥ -101, every seed" in results_program.table({"mountain_car": made})
