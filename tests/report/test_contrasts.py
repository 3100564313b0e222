"""Settings and suites held against each other."""

import numpy as np
import pytest
from support.reported_runs import make_run, make_sweep

from lightning_dqn.report.contrasts import contrasts, suite_aggregates
from lightning_dqn.report.gather import gather
from lightning_dqn.report.panels import MOST_LINES
from lightning_dqn.study.suite import Suite

GAMES = ("Pong", "Breakout")


def make_suite(folder, returns, name="s"):
    suite = Suite("atari", "+experiment=a", "environment.game", GAMES, table="atari_100k")
    settings = {f"environment.game={game}": own for game, own in returns.items()}
    environments = {f"environment.game={game}": f"Atari/{game}" for game in returns}
    return make_sweep(folder, settings, name=name, suite=suite, environments=environments)


def test_two_settings_have_profiles_and_a_probability(tmp_path):
    found = contrasts(gather([make_sweep(tmp_path, {"lr=1": [1, 2, 3], "lr=2": [2, 3, 4]})]))
    [one] = found
    assert (one.of, one.what, list(one.profiles)) == ("CartPole-v1", "return", ["lr=2", "lr=1"])
    [pair] = one.improvements
    assert (pair.better, pair.worse) == ("lr=2", "lr=1")
    assert pair.estimate.value == pytest.approx((6 + 2 * 0.5) / 9)
    share = one.profiles["lr=2"].share
    assert (share[0], share[-1]) == (1, 0)
    assert np.all(np.diff(share) <= 0)


def test_the_probability_counts_pairs_and_ties_half(tmp_path):
    [one] = contrasts(gather([make_sweep(tmp_path, {"lr=1": [1, 2], "lr=2": [2, 3]})]))
    assert one.improvements[0].estimate.value == 3.5 / 4


def test_equal_returns_have_a_profile_too(tmp_path):
    [one] = contrasts(gather([make_sweep(tmp_path, {"lr=1": [5, 5], "lr=2": [5, 5]})]))
    assert np.ptp(one.profiles["lr=1"].thresholds) > 0
    assert one.improvements[0].estimate.value == 0.5


def test_single_settings_and_other_environments_are_not_compared(tmp_path):
    runs = [make_run(tmp_path / "a"), make_run(tmp_path / "b", environment="Other-v0")]
    assert contrasts(gather(runs)) == []


def test_a_setting_without_a_result_is_not_compared(tmp_path):
    runs = [
        make_run(tmp_path / "a", config={"x": 1}),
        make_run(tmp_path / "b", config={"x": 2}, is_finished=False),
    ]
    assert contrasts(gather(runs)) == []


def test_of_many_settings_the_best_are_compared_and_the_rest_counted(tmp_path):
    settings = {f"lr={number}": [float(number)] for number in range(MOST_LINES + 3)}
    [one] = contrasts(gather([make_sweep(tmp_path, settings)]))
    assert (len(one.profiles), one.left_out) == (MOST_LINES, 3)


def test_a_suite_comes_to_aggregates_beside_published_agents(tmp_path):
    found = suite_aggregates(gather([make_suite(tmp_path, {"Pong": [1, 2], "Breakout": [30, 40]})]))
    assert [(one.agent, one.over) for one in found[:2]] == [
        ("s", "all runs"),
        ("s", "per-game means"),
    ]
    assert len(found) > 2
    assert {one.games for one in found} == {2}
    assert found[0].statistics["iqm"].interval is not None


def test_suites_are_compared_over_the_games_that_both_played(tmp_path):
    a = make_suite(tmp_path / "a", {"Pong": [1, 2], "Breakout": [30, 40]}, "a")
    b = make_suite(tmp_path / "b", {"Pong": [3, 4]}, "b")
    reported = gather([a, b])
    assert {one.games for one in suite_aggregates(reported)} == {1}
    of_suites = [one for one in contrasts(reported) if one.what == "human-normalised score"]
    assert [list(one.profiles) for one in of_suites] == [["a", "b"]]
    assert of_suites[0].improvements[0].estimate.value == 0


def test_suites_of_the_same_name_and_folders_name_are_told_apart(tmp_path):
    suites = [make_suite(tmp_path / name / "s", {"Pong": [1, 2]}) for name in "abc"]
    found = suite_aggregates(gather(suites))
    assert list(dict.fromkeys(one.agent for one in found))[:3] == ["s (a/s)", "s (b/s)", "s (c/s)"]


def test_without_a_suite_there_are_no_aggregates(tmp_path):
    assert suite_aggregates(gather([make_run(tmp_path)])) == []
