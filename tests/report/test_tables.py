"""The page's tables as texts."""

import json

import pytest
from support.reported_runs import make_run, make_sweep

from lightning_dqn.report.gather import gather
from lightning_dqn.report.numbers import Numbers
from lightning_dqn.report.tables import (
    NONE,
    decimals,
    differences_table,
    evaluation_table,
    improvement_table,
    number_text,
    origins_table,
    runs_table,
)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([500.0, 2.0], 1), ([92.2], 2), ([0.0123], 5), ([0.0], 1), ([], 1), ([12_345.0], 0)],
)
def test_numbers_have_four_digits(values, expected):
    assert decimals(values) == expected


def test_numbers_are_told_with_their_thousands():
    assert number_text(12345.678, 1) == "12,345.7"
    assert number_text(-0.001, 1) == "0.0"
    assert number_text(None, 1) == NONE


def test_results_stand_in_a_row_for_each_setting(tmp_path):
    sweep = make_sweep(tmp_path, {"lr=1": [1, 2, 3], "lr=2": [7]})
    (sweep / "lr=1,seed=2" / "summary.json").unlink()
    table = evaluation_table(Numbers.of(gather([sweep])))
    assert [row[0] for row in table.rows] == ["lr=2", "lr=1"]
    assert [row[1] for row in table.rows] == ["1", "2 of 3"]
    assert [row[2] for row in table.rows] == ["7.000", "1.500 [1.000, 2.000]"]
    assert all(len(row) == len(table.head) for row in table.rows)


def test_a_setting_without_a_result_says_so(tmp_path):
    table = evaluation_table(Numbers.of(gather([make_run(tmp_path, is_finished=False)])))
    assert table.rows[0][1:4] == ["0 of 1", "no result", NONE]


def test_runs_that_were_changed_by_hand_say_what_was_changed(tmp_path):
    run = make_run(tmp_path, seed=3)
    change = {"name": "epsilon", "env_steps": 100, "value": 0.06}
    (run / "changed_by_hand.json").write_text(json.dumps([change]))
    table = runs_table(gather([run]).settings[0])
    assert table.note == "Seed 3 was changed by hand: epsilon 0.06 from env step 100."


def test_every_run_stands_with_its_state_and_reason(tmp_path):
    sweep = make_sweep(tmp_path, {"lr=1": [1, 2]})
    (sweep / "lr=1,seed=1" / "summary.json").unlink()
    table = runs_table(gather([sweep]).settings[0])
    assert [row[:3] for row in table.rows] == [
        ["0", "finished", "1.000"],
        ["1", "unfinished", NONE],
    ]
    assert "Seed 1: it is running" in table.note
    assert all(len(row) == len(table.head) for row in table.rows)


def test_pairs_and_origins_have_rows(tmp_path):
    numbers = Numbers.of(gather([make_sweep(tmp_path, {"lr=1": [1, 2], "lr=2": [3, 4]})]))
    [contrast] = numbers.contrasts
    assert improvement_table(contrast).rows == [["lr=2", "lr=1", "1.00 [1.00, 1.00]"]]
    [row] = origins_table(numbers).rows
    assert row[:5] == ["a processor", "cpu", "4", "2 min", "31 s"]


def test_few_settings_stand_beside_each_other_and_many_below(tmp_path):
    few = {"lr": {"x": "1", "y": None}}
    assert differences_table(few).rows == [["lr", "1", NONE]]
    many = {"lr": {f"s{n}": str(n) for n in range(9)}}
    table = differences_table(many)
    assert list(table.head) == ["Setting", "lr"]
    assert table.rows[3] == ["s3", "3"]
