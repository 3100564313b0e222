"""Numbers and rows as people and programs read them."""

import csv

import pytest

from lightning_dqn.reporting.tables import duration, interval_text, markdown, table_text


def test_a_value_has_its_interval_where_there_is_one():
    assert interval_text(2.0, (1.0, 3.0), ".1f") == "2.0 [1.0, 3.0]"
    assert interval_text(1234.5, [-0.001, 3.0], "z,.2f") == "1,234.50 [0.00, 3.00]"
    assert interval_text(2.0, None, ".3f") == "2.000"


@pytest.mark.parametrize(
    ("seconds", "text"), [(31.2, "31 s"), (600, "10 min"), (12_240, "3.4 h"), (99.4, "99 s")]
)
def test_times_are_for_people(seconds, text):
    assert duration(seconds) == text


def test_a_table_reads_as_markdown_and_as_text():
    assert markdown([["a", "bb"], ["ccc", "d"]]).splitlines() == [
        "| a   | bb |",
        "| --- | -: |",
        "| ccc |  d |",
    ]


def test_an_empty_column_has_a_rule_that_makes_a_table():
    assert markdown([["a", "±"], ["b", ""]]).splitlines()[1] == "| -- | -: |"


def test_rows_for_programs_have_all_columns_that_any_of_them_has():
    text = table_text([{"a": 1, "b": "x, y"}, {"a": 2, "c": 3}])
    assert text == 'a,b,c\n1,"x, y",\n2,,3\n'
    assert [row["c"] for row in csv.DictReader(text.splitlines())] == ["", "3"]
