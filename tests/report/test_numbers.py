"""All numbers of a report, and what programs get of them."""

import csv
import json

import pytest
from support.reported_runs import COMMIT, make_run, make_sweep

from lightning_dqn.report.gather import gather
from lightning_dqn.report.numbers import Numbers, plain
from lightning_dqn.report.rows import COLUMNS, csv_text


@pytest.fixture
def numbers(tmp_path):
    sweep = make_sweep(tmp_path / "sweep", {"lr=1": [1, 2, 3, 6], "lr=2": [7]})
    return Numbers.of(gather([sweep, make_run(tmp_path / "run", is_finished=False)]))


def test_a_setting_is_evaluated_over_its_seeds(numbers):
    best, other, unfinished = sorted(numbers.evaluated, key=lambda one: -len(one.values))
    assert best.setting.endswith("lr=1")
    assert best.values["iqm"] == 2.5
    assert best.values["low"] <= 2.5 <= best.values["high"]
    assert (best.values["min"], best.values["max"], best.wall_seconds) == (1, 6, 4 * 31.0)
    assert set(other.values) == {"iqm", "mean", "median", "min", "max"}
    assert (unfinished.finished, unfinished.of, unfinished.values) == (0, 1, {})
    assert unfinished.env_steps == 300


def test_where_runs_were_made_is_counted(numbers):
    [one] = numbers.origins
    assert (one.cpu, one.commit, one.runs, one.wall_seconds) == ("a processor", COMMIT, 5, 155.0)


def test_json_has_no_number_that_json_lacks(numbers):
    saved = json.loads(json.dumps(plain(numbers), allow_nan=False))
    single = [one for one in saved["curves"] if one["metric"] == "eval/episode_return"]
    [label] = [label for label in single[0]["settings"] if label.endswith("lr=2")]
    assert single[0]["settings"][label]["low"] == [None, None, None]
    assert saved["evaluation"][0]["setting"]
    assert saved["settings"][0]["runs"][0]["state"] == "finished"


def test_csv_and_json_have_the_same_numbers(numbers):
    rows = list(csv.DictReader(csv_text(numbers).splitlines()))
    saved = plain(numbers)
    assert tuple(rows[0]) == COLUMNS
    for panel in saved["curves"]:
        for label, curve in panel["settings"].items():
            own = [
                row
                for row in rows
                if (row["table"], row["setting"], row["key"]) == ("curve", label, panel["metric"])
            ]
            assert [float(row["value"]) for row in own] == pytest.approx(curve["iqm"])
            assert [float(row["low"]) if row["low"] else None for row in own] == pytest.approx(
                curve["low"]
            )
    iqm = {row["setting"]: row for row in rows if row["key"] == "iqm"}
    known = {one["setting"]: one for one in saved["evaluation"] if "iqm" in one}
    assert {label: float(row["value"]) for label, row in iqm.items()} == {
        label: one["iqm"] for label, one in known.items()
    }
    pairs = [row for row in rows if row["table"] == "probability of improvement"]
    assert [float(row["value"]) for row in pairs] == [
        one["value"] for one in saved["probability_of_improvement"]
    ]
    states = [row["value"] for row in rows if row["key"] == "state"]
    assert states == [run["state"] for one in saved["settings"] for run in one["runs"]]


def test_changes_by_hand_are_told_to_programs_too(tmp_path):
    run = make_run(tmp_path)
    change = {"name": "epsilon", "env_steps": 100, "value": 0.06}
    (run / "changed_by_hand.json").write_text(json.dumps([change]))
    numbers = Numbers.of(gather([run]))
    [saved] = plain(numbers)["settings"][0]["runs"]
    assert saved["changed_by_hand"] == ("epsilon 0.06 from env step 100",)
    rows = csv.DictReader(csv_text(numbers).splitlines())
    assert [row["value"] for row in rows if row["key"] == "changes_by_hand"] == ["1"]


def test_findings_are_read_from_every_run(tmp_path):
    run = make_run(tmp_path)
    found = [{"rule": "q_grows", "env_steps": 7, "what": "it grows", "remedy": "lower lr"}]
    (run / "findings.json").write_text(json.dumps({"facts": {}, "findings": found}))
    numbers = Numbers.of(gather([run]))
    assert plain(numbers)["findings"] == [
        {
            "setting": "made",
            "seed": 0,
            "name": "q_grows",
            "env_step": 7,
            "what": "it grows",
            "advice": "lower lr",
        }
    ]
