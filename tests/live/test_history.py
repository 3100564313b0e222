"""What is kept of metrics: last, mean, best, the whole curve in bounded memory."""

import math

import pytest

from lightning_dqn.live.history import RECENT_POINTS, BoundedSeries, History


def test_last_mean_and_best_are_those_of_the_values():
    series = BoundedSeries("eval/episode_return")
    for step, value in enumerate([1.0, 5.0, 3.0]):
        series.add(step, value)
    assert (series.last, series.mean, series.best) == (3.0, 3.0, 5.0)


def test_the_best_is_the_lowest_where_the_glossary_says_so():
    series = BoundedSeries("eval/mean_regret")
    for value in (1.0, 0.2, 0.5):
        series.add(0, value)
    assert series.best == 0.2


def test_a_metric_without_a_better_end_has_no_best():
    series = BoundedSeries("train/loss")
    series.add(0, 1.0)
    assert series.best is None


def test_what_is_not_finite_is_shown_as_last_and_spoils_no_mean():
    series = BoundedSeries("train/loss")
    series.add(0, 1.0)
    series.add(1, math.nan)
    assert math.isnan(series.last)
    assert series.mean == 1.0
    assert series.whole().values == [1.0]


@pytest.mark.parametrize("num_values", [1, 7, 8, 9, 63, 1000])
def test_the_whole_curve_is_bounded_and_keeps_beginning_and_end(num_values):
    series = BoundedSeries("train/loss", most_points=8)
    for step in range(num_values):
        series.add(step, float(step))
    steps, values = series.whole()
    assert len(values) <= 9
    assert steps == sorted(steps)
    assert steps == values  # means of equally many on a straight line lie on it
    assert steps[0] <= num_values / 8
    assert steps[-1] >= num_values - 1 - num_values / 4


def test_recent_values_are_the_newest_as_they_are():
    series = BoundedSeries("train/loss")
    for step in range(RECENT_POINTS + 5):
        series.add(step, float(step))
    assert series.recent().values == [float(step) for step in range(5, RECENT_POINTS + 5)]


def test_rows_are_noted_without_what_is_no_metric():
    history = History()
    history.add({"train/loss": 1, "time/env_steps": 4, "step": 4, "videos/best": "x"}, 4)
    history.add({"eval/episode_return": 2.0}, 4)
    assert history.names() == ["eval/episode_return", "train/loss"]


ROWS = """eval/episode_return,step,test/episode_return,time/env_steps,train/loss
,10,,10,4.0
7.0,20,,,2.0
,20,9.0,20,1.0
,30,,30,99.0
"""


def test_a_run_that_goes_on_has_the_rows_up_to_there_and_none_of_tests(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text(ROWS)
    history = History()
    history.add_rows(path, 20)
    assert history.names() == ["eval/episode_return", "train/loss"]
    assert history.series["train/loss"].whole() == ([10, 20], [4, 2])
    assert history.series["eval/episode_return"].best == 7


def test_of_rows_that_cannot_be_read_those_before_are_kept(tmp_path):
    path = tmp_path / "metrics.csv"
    for last in ("0.5,20,,20,1", "no,20,,20,number\n"):  # killed as it wrote, and spoiled
        path.write_text("".join(ROWS.splitlines(keepends=True)[:2]) + last)
        history = History()
        history.add_rows(path, 20)
        assert history.series["train/loss"].whole() == ([10], [4])
        assert history.names() == ["train/loss"]


def test_a_run_without_rows_has_no_history(tmp_path):
    history = History()
    history.add_rows(tmp_path / "metrics.csv", 20)
    assert history.names() == []
