"""Which curves are drawn, and in which order."""

import pytest
from support.reported_runs import make_run, make_sweep

from lightning_dqn.report.gather import gather
from lightning_dqn.report.panels import MOST_LINES, diagnostics, main_panels, panel
from lightning_dqn.runs.build import ConfigError


@pytest.fixture
def reported(tmp_path):
    return gather([make_sweep(tmp_path, {"lr=1": [1, 2], "lr=2": [3, 5]})])


def rewritten(run, old, new):
    path = run.folder / "metrics.csv"
    path.write_text(path.read_text().replace(old, new))


def test_a_report_begins_with_what_evaluations_returned_the_best_setting_first(reported):
    [found] = main_panels(reported, [])
    assert found.metric == "eval/episode_return"
    assert list(found.curves) == ["lr=2", "lr=1"]
    assert list(found.curves["lr=1"].iqm) == [1.5, 3, 6]
    assert list(found.curves["lr=1"].high) == [2, 4, 8]
    assert found.runs == ()


def test_without_evaluations_it_begins_with_training(reported):
    for setting in reported.settings:
        for run in setting.runs:
            rewritten(run, "eval/episode_return", "rollout/episode_return")
    assert [one.metric for one in main_panels(reported, [])] == ["rollout/episode_return"]


def test_of_a_single_setting_the_seeds_are_drawn_too(tmp_path):
    [found] = main_panels(gather([make_sweep(tmp_path, {"lr=1": [1, 2]})]), [])
    assert [list(run.value) for run in found.runs] == [[1, 2, 4], [2, 4, 8]]


def test_a_single_run_has_a_line_without_a_band(tmp_path):
    [found] = main_panels(gather([make_run(tmp_path)]), [])
    assert str(found.curves["made"].low[0]) == "nan"
    assert found.runs == ()


def test_a_line_keeps_its_place_where_another_setting_lacks_the_metric(reported):
    best = next(one for one in reported.settings if one.label == "lr=2")
    for run in best.runs:
        rewritten(run, "train/loss", "train/other")
    found = panel("CartPole-v1", reported.settings, "train/loss")
    assert found.places == {"lr=1": 1}


def test_an_unfinished_run_is_drawn_only_where_none_is_finished(tmp_path):
    sweep = make_sweep(tmp_path, {"lr=1": [1, 2]})
    (sweep / "lr=1,seed=1" / "summary.json").unlink()
    [found] = main_panels(gather([sweep]), [])
    assert list(found.curves["made"].iqm) == [1, 2, 4]
    (sweep / "lr=1,seed=0" / "summary.json").unlink()
    [found] = main_panels(gather([sweep]), [])
    assert list(found.curves["made"].iqm) == [1.5, 3, 6]


def test_only_the_best_settings_are_drawn(tmp_path):
    settings = {f"lr={number}": [float(number)] for number in range(MOST_LINES + 2)}
    [found] = main_panels(gather([make_sweep(tmp_path, settings)]), [])
    assert list(found.curves) == [f"lr={n}" for n in range(MOST_LINES + 1, 1, -1)]


def test_a_metric_that_nobody_logged_is_told_with_what_may_be_meant(reported):
    with pytest.raises(ConfigError, match=r"metric=train/los: no run logged it; .*train/loss"):
        main_panels(reported, ["train/los"])


def test_diagnostics_leave_out_what_never_moves_what_is_drawn_and_tests(reported):
    found, left_out = diagnostics(reported, [])
    assert [one.metric for one in found] == ["train/loss"]
    assert left_out == []
    found, _ = diagnostics(reported, ["train/loss"])
    assert [one.metric for one in found] == ["eval/episode_return"]


def test_what_there_is_no_room_for_is_named(tmp_path):
    run = make_run(tmp_path)
    keys = [f"network/gradient_norm/{number:02d}" for number in range(30)]
    lines = [",".join(["time/env_steps", *keys])]
    lines += [",".join(map(str, [10 * n, *[n] * 30])) for n in (1, 2)]
    (run / "metrics.csv").write_text("\n".join(lines) + "\n")
    found, left_out = diagnostics(gather([run]), [])
    assert [one.metric for one in found] + left_out == keys
    assert left_out


def test_percentiles_but_the_median_are_no_curves(tmp_path):
    run = make_run(tmp_path)
    keys = ["values/q_value_p5", "values/q_value_p50", "values/q_value_p95"]
    text = "\n".join([",".join(["time/env_steps", *keys]), "1,1,2,3", "2,2,3,4", ""])
    (run / "metrics.csv").write_text(text)
    assert [one.metric for one in diagnostics(gather([run]), [])[0]] == ["values/q_value_p50"]
