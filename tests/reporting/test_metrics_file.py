"""A run's metrics as series: which rows count, and what is said of a file that can't be read."""

import pytest

from lightning_dqn.reporting.metrics_file import Series, finite, read_series

HEAD = "time/env_steps,step,epoch,eval/episode_return,train/loss"


def series_of(folder, *rows, end="\n", **how) -> dict[str, Series]:
    path = folder / "metrics.csv"
    path.write_text("\n".join([HEAD, *rows]) + end)
    return read_series(path, **how)


def lists(found):
    return {key: [list(one) for one in series] for key, series in found.items()}


def test_each_metric_stands_over_its_own_env_steps_and_what_counts_is_none(tmp_path):
    found = series_of(tmp_path, "10,1,0,,0.5", "20,2,0,3.0,0.25", "40,3,1,,0.125")
    assert lists(found) == {
        "train/loss": [[10, 20, 40], [0.5, 0.25, 0.125]],
        "eval/episode_return": [[20], [3.0]],
    }


def test_a_row_that_tells_no_env_steps_stands_at_those_told_last(tmp_path):
    """What a callback of one's own logs has iterations as its step; an evaluation has env steps."""
    found = series_of(tmp_path, ",0,0,,0.5", "64,1,0,,0.25", ",2,0,,0.125", ",128,0,3.0,")
    assert lists(found) == {
        "train/loss": [[0, 64], [0.5, 0.125]],
        "eval/episode_return": [[128], [3.0]],
    }


def test_where_no_row_tells_env_steps_the_steps_are_theirs(tmp_path):
    (tmp_path / "metrics.csv").write_text("step,train/loss\n10,0.5\n20,0.25\n")
    found = read_series(tmp_path / "metrics.csv")
    assert lists(found) == {"train/loss": [[10, 20], [0.5, 0.25]]}


def test_of_two_rows_of_an_env_step_the_later_one_counts_and_steps_rise(tmp_path):
    found = series_of(tmp_path, "20,,,1.0,", "10,,,2.0,", "20,,,3.0,")
    assert lists(found) == {"eval/episode_return": [[10, 20], [2, 3]]}


def test_half_a_line_and_rows_at_no_env_step_are_left_out(tmp_path):
    found = series_of(tmp_path, "10,1,0,1.0,", ",,,2.0,", "nan,,,3.0,", "30,3,1,12", end="")
    assert lists(found) == {"eval/episode_return": [[10], [1.0]]}


def test_only_the_metrics_that_are_asked_for_are_returned(tmp_path):
    assert lists(series_of(tmp_path, "10,1,0,1.0,0.5", keys=["train/loss", "train/other"])) == {
        "train/loss": [[10], [0.5]]
    }


def test_what_is_not_finite_is_read_and_may_be_left_out(tmp_path):
    found = series_of(tmp_path, "10,1,0,1.0,nan", "20,2,0,inf,", "30,3,0,-inf,", "40,4,0,2.0,")
    assert [len(series.value) for series in found.values()] == [4, 1]
    assert lists(finite(found)) == {"eval/episode_return": [[10, 40], [1, 2]]}


def test_a_run_that_logged_nothing_has_no_series(tmp_path):
    assert read_series(tmp_path / "metrics.csv") == {}
    assert series_of(tmp_path) == {}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"time/env_steps,a\n1,word\n2,2\n", "could not convert string to float: 'word'"),
        (b"a\n\xff\xfe\n", "'utf-8' codec"),
        (b"a\n1\n", "no column time/env_steps or step"),
        (b"time/env_steps,a\n1," + b"9" * 200_000 + b"\n", "field larger than field limit"),
    ],
)
def test_a_damaged_file_is_named_in_one_line(content, reason, tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="can't be read as metrics") as told:
        read_series(path)
    assert str(told.value).startswith(f"{path}: can't be read as metrics ({reason}")
    assert "\n" not in str(told.value)
