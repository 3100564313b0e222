import sys

import numpy as np
import pytest

from lightning_dqn.reporting.metrics_file import Series
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.study.curve import (
    evaluated_metrics,
    join,
    plot,
    read_curves,
    read_drawable,
    read_evaluations,
    write_curves,
)


def run(env_steps, value) -> Series:
    return Series(np.array(env_steps, dtype=float), np.array(value, dtype=float))


def test_evaluations_are_the_rows_that_hold_one(tmp_path):
    rows = ["eval/episode_return,time/env_steps,train/loss"]
    rows += ["9.5,323,", ",400,0.3", "12,583,", "13,583,", "7,100,"]
    (tmp_path / "metrics.csv").write_text("\n".join(rows) + "\n")
    env_steps, returns = read_evaluations(tmp_path)
    assert env_steps.tolist() == [100, 323, 583]
    assert returns.tolist() == [7, 9.5, 13]


def test_any_metric_of_the_evaluations_is_read(tmp_path):
    rows = ["eval/mean_regret,eval/episode_return,eval/never,time/env_steps,train/loss"]
    rows += ["0.5,1,,100,", ",2,,200,", ",,,250,0.3", "0.25,3,,300,"]
    (tmp_path / "metrics.csv").write_text("\n".join(rows) + "\n")
    env_steps, regret = read_evaluations(tmp_path, "eval/mean_regret")
    assert env_steps.tolist() == [100, 300]
    assert regret.tolist() == [0.5, 0.25]
    assert read_evaluations(tmp_path, "eval/never") is None
    assert evaluated_metrics(tmp_path) == {"eval/mean_regret", "eval/episode_return"}
    assert evaluated_metrics(tmp_path / "nowhere") == set()


@pytest.mark.parametrize("text", [None, "time/env_steps\n5\n", "eval/episode_return\n"])
def test_a_run_without_evaluations_has_none(text, tmp_path):
    if text is not None:
        (tmp_path / "metrics.csv").write_text(text)
    assert read_evaluations(tmp_path) is None
    assert read_drawable(tmp_path) == (None, "no evaluations to draw")


def test_evaluations_that_are_not_finite_are_read_but_not_drawn_and_told(tmp_path):
    rows = ["1,100", "nan,1500", "2,2000", "inf,2500"]
    (tmp_path / "metrics.csv").write_text("\n".join(["eval/a,time/env_steps", *rows]) + "\n")
    assert len(read_evaluations(tmp_path, "eval/a").value) == 4
    drawn, note = read_drawable(tmp_path, "eval/a")
    assert [list(one) for one in drawn] == [[100, 2000], [1, 2]]
    assert note == (
        "eval/a isn't finite in 2 of 4 evaluations, the first at env step 1,500; the curve leaves "
        "them out"
    )
    (tmp_path / "metrics.csv").write_text("eval/a,time/env_steps\nnan,100\n")
    drawn, note = read_drawable(tmp_path, "eval/a")
    assert drawn is None
    assert note.startswith("eval/a isn't finite in 1 of 1 evaluations")


def test_a_damaged_file_is_named_with_what_to_do(tmp_path):
    (tmp_path / "metrics.csv").write_text("eval/episode_return,time/env_steps\nabc,100\n")
    told = rf"{tmp_path}/metrics.csv: can't be read .*'abc'\); mend it or leave it out"
    for read in (read_evaluations, evaluated_metrics):
        with pytest.raises(ConfigError, match=told):
            read(tmp_path)
    drawn, note = read_drawable(tmp_path)
    assert drawn is None
    assert "'abc'" in note


def test_runs_on_the_same_grid_are_taken_point_by_point():
    curve = join([run([10, 20], [y, 2 * y]) for y in (0, 1, 2, 100)])
    assert curve.env_steps.tolist() == [10, 20]
    assert curve.iqm.tolist() == [1.5, 3.0]
    assert (curve.low <= curve.iqm).all()
    assert (curve.iqm <= curve.high).all()


def test_runs_are_interpolated_where_all_were_evaluated_and_never_beyond():
    first, second = run([0, 10, 20, 30], [0, 10, 20, 30]), run([5, 25, 45], [0, 20, 40])
    curve = join([first, second])
    assert curve.env_steps.tolist() == [5, 25, 30]
    assert curve.iqm.tolist() == [2.5, 22.5, 27.5]


@pytest.mark.parametrize("runs", [[], [run([1, 2], [0, 0]), run([3, 4], [0, 0])]])
def test_runs_with_no_env_step_in_common_have_no_curve(runs):
    assert join(runs) is None


def test_evaluations_at_nearly_the_same_env_steps_are_one_point():
    """As the single ones of seeds, which end within an iteration of each other."""
    curve = join([run([4_014], [1]), run([4_012], [3])])
    assert (curve.env_steps.tolist(), curve.iqm.tolist()) == ([4_014], [2])
    assert (curve.low[0], curve.high[0]) == (1, 3)
    assert join([run([4_014], [1]), run([3_900], [3])]) is None


def test_a_single_run_has_a_line_and_no_interval(tmp_path):
    curve = join([run([10, 20], [1, 2])])
    assert curve.iqm.tolist() == [1, 2]
    assert np.isnan([curve.low, curve.high]).all()
    write_curves({"a": curve}, tmp_path / "curve.csv")
    assert (tmp_path / "curve.csv").read_text().splitlines()[1] == "a,10,1,,"


def test_written_curves_are_read_again(tmp_path):
    curve = join([run([10, 20], [1, 2]), run([11, 20], [3, 1 / 3])])
    other = join([run([10, 20], [1, 2])])
    write_curves({"lr=1, x": curve, "b": other}, tmp_path / "curve.csv")
    assert (tmp_path / "curve.csv").read_text().startswith("setting,env_steps,iqm,low,high\n")
    read = read_curves(tmp_path / "curve.csv")
    assert list(read) == ["lr=1, x", "b"]
    np.testing.assert_allclose(read["lr=1, x"], curve, rtol=1e-9)
    np.testing.assert_array_equal(read["b"], other)
    assert read_curves(tmp_path / "nothing.csv") == {}


def test_the_curve_of_a_study_of_0_1_has_no_label(tmp_path):
    (tmp_path / "curve.csv").write_text("env_steps,iqm,low,high\n10,1,,\n")
    [(label, curve)] = read_curves(tmp_path / "curve.csv").items()
    assert label is None
    assert curve.iqm.tolist() == [1]


def test_one_plot_holds_lines_bands_and_single_runs(tmp_path):
    runs = [run([10, 20], [y, 2 * y]) for y in (0, 1, 2)]
    note = plot({"a": join(runs), "b": join(runs[:1])}, tmp_path / "a.png", title="A", single=runs)
    assert note is None
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("metric", "label"),
    [
        ("eval/mean_regret", "eval/mean_regret"),
        ("eval/episode_return", "mean return of the evaluation episodes"),
    ],
)
def test_the_axis_says_what_is_drawn(metric, label, tmp_path, monkeypatch):
    labels = []
    monkeypatch.setattr(
        "matplotlib.figure.Figure.savefig",
        lambda figure, *_, **__: labels.append(figure.axes[0].get_ylabel()),
    )
    plot({"a": join([run([1, 2], [1, 0])])}, tmp_path / "a.png", title="A", metric=metric)
    assert labels == [label]


@pytest.mark.parametrize(
    ("values", "bottom"), [([10, 0.1, 0], -0.002), ([0, 0, 0], -0.0002), ([-10, 0.1, 0], None)]
)
def test_a_logarithmic_scale_shows_powers_of_ten_and_zero(values, bottom, tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(
        "matplotlib.figure.Figure.savefig", lambda figure, *_, **__: figures.append(figure)
    )
    curves = {"a": join([run([1, 2, 3], values)])}
    plot(curves, tmp_path / "a.png", title="A", log=True)
    [axes] = figures[0].axes
    heights = axes.transData.transform([(0, y) for y in (0, 0.01, 0.1, 1)])[:, 1]
    assert heights[0] < heights[1]
    assert heights[2] - heights[1] == pytest.approx(heights[3] - heights[2])
    lowest = axes.get_ylim()[0]
    assert lowest < -10 if bottom is None else lowest == pytest.approx(bottom)


def test_without_matplotlib_one_line_names_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    note = plot({"a": join([run([1], [1])])}, tmp_path / "curve.png", title="A")
    assert note == ("curve.png left out, matplotlib is missing: pip install 'lightning-dqn[plot]'")
    assert list(tmp_path.iterdir()) == []
