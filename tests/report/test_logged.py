"""What a run logged, as it is read for a report."""

import numpy as np
import pytest

from lightning_dqn.report.logged import read_logged, thinned
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.study.curve import Evaluations

HEAD = "time/env_steps,step,eval/episode_return,train/loss"


def logged(folder, *rows, end="\n"):
    (folder / "metrics.csv").write_text("\n".join([HEAD, *rows]) + end)
    return read_logged(folder)


def test_each_metric_stands_over_its_own_env_steps(tmp_path):
    found = logged(tmp_path, "10,1,,0.5", "20,2,3.0,0.25")
    assert {key: [list(one) for one in value] for key, value in found.items()} == {
        "train/loss": [[10, 20], [0.5, 0.25]],
        "eval/episode_return": [[20], [3.0]],
    }


def test_epochs_are_no_metric(tmp_path):
    (tmp_path / "metrics.csv").write_text("epoch,step,train/loss\n3,10,0.5\n")
    assert list(read_logged(tmp_path)) == ["train/loss"]


def test_of_two_rows_of_an_env_step_the_later_one_counts_and_steps_rise(tmp_path):
    found = logged(tmp_path, "20,,1.0,", "10,,2.0,", "20,,3.0,")
    assert [list(one) for one in found["eval/episode_return"]] == [[10, 20], [2, 3]]


def test_a_row_without_env_steps_has_those_of_its_step(tmp_path):
    assert logged(tmp_path, ",40,1.0,")["eval/episode_return"].env_steps == [40]


def test_half_a_line_and_what_is_not_finite_are_left_out(tmp_path):
    found = logged(tmp_path, "10,1,1.0,nan", "20,2,inf,", "30,3,123", end="")
    assert list(found) == ["eval/episode_return"]
    assert list(found["eval/episode_return"].value) == [1.0]


def test_a_run_that_logged_nothing_has_no_metrics(tmp_path):
    assert read_logged(tmp_path) == {}


@pytest.mark.parametrize("content", [b"time/env_steps,a\n1,word\n2,2\n", b"a\n\xff\xfe\n"])
def test_a_damaged_file_is_told_in_one_line(tmp_path, content):
    (tmp_path / "metrics.csv").write_bytes(content)
    with pytest.raises(ConfigError, match=r"metrics\.csv: can't be read .*; mend it") as told:
        read_logged(tmp_path)
    assert "\n" not in str(told.value)


def test_few_points_stay_and_many_are_means_of_neighbours():
    series = Evaluations(np.arange(6.0), np.array([0.0, 2, 4, 6, 8, 10]))
    assert thinned(series, 6) is series
    assert [list(one) for one in thinned(series, 3)] == [[0.5, 2.5, 4.5], [1, 5, 9]]
