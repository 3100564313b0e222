"""What a run logged, as it is read for a report."""

import numpy as np
import pytest

from lightning_dqn.report.logged import read_logged, thinned
from lightning_dqn.reporting.metrics_file import Series
from lightning_dqn.runs.build import ConfigError

HEAD = "time/env_steps,step,eval/episode_return,train/loss"


def logged(folder, *rows):
    (folder / "metrics.csv").write_text("\n".join([HEAD, *rows]) + "\n")
    return read_logged(folder)


def test_what_is_not_finite_is_left_out(tmp_path):
    found = logged(tmp_path, "10,1,1.0,nan", "20,2,inf,")
    assert {key: [list(one) for one in value] for key, value in found.items()} == {
        "eval/episode_return": [[10], [1.0]]
    }


def test_a_run_that_logged_nothing_has_no_metrics(tmp_path):
    assert read_logged(tmp_path) == {}


def test_a_damaged_file_is_told_with_what_to_do(tmp_path):
    with pytest.raises(ConfigError, match=r"metrics\.csv: can't be read .*; mend it"):
        logged(tmp_path, "10,1,word,")


def test_few_points_stay_and_many_are_means_of_neighbours():
    series = Series(np.arange(6.0), np.array([0.0, 2, 4, 6, 8, 10]))
    assert thinned(series, 6) is series
    assert [list(one) for one in thinned(series, 3)] == [[0.5, 2.5, 4.5], [1, 5, 9]]
