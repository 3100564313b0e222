"""Plots as text: where curves lie, what the axes say, all in the size that was asked for."""

import pytest

from lightning_dqn.live.dots import Dots
from lightning_dqn.live.history import Points
from lightning_dqn.live.plots import Band, plot_curve, plot_distribution


def test_a_dot_is_a_bit_of_its_character():
    dots = Dots(2, 1)
    dots.set(0, 0)
    dots.set(3, 3)
    assert dots.lines() == ["⠁⢀"]


def test_what_lies_outside_sets_no_dot():
    dots = Dots(1, 1)
    for place in ((-1, 0), (2, 0), (0, 4), (0, -1)):
        dots.set(*place)
    assert dots.lines() == [" "]


def test_a_rising_line_goes_from_the_lower_left_to_the_upper_right():
    plot = plot_curve(Points([0, 100], [0.0, 8.0]), width=40, height=6)
    curve = plot.curve.lines
    assert curve[0].rstrip()[-1] != " "
    assert curve[0][0] == " "
    assert curve[-1][0] != " "
    assert plot.axes.lines[0].strip() == "8┤"
    assert plot.axes.lines[-2].strip() == "0┤"
    assert plot.axes.lines[-1].split() == ["0", "100", "env", "steps"]


@pytest.mark.parametrize(("width", "height"), [(14, 3), (40, 10), (200, 60)])
@pytest.mark.parametrize("values", [[3.0], [0.0, 0.0], [1e-9, 1e12, -4.0]])
def test_a_plot_has_the_size_that_was_asked_for(width, height, values):
    curve = Points([float(i) for i in range(len(values))], values)
    for plot in (plot_curve(curve, width, height), plot_distribution(values, width, height)):
        assert len(plot.axes.lines) == height
        assert len(plot.curve.lines) == height - 1
        assert {len(line) for line in plot.curve.lines} == {width - 10}


def test_there_is_no_plot_without_values_or_room():
    assert plot_curve(Points([], []), 80, 20) is None
    assert plot_curve(Points([0.0], [1.0]), 12, 20) is None
    assert plot_distribution([], 80, 20) is None


def test_the_most_frequent_range_fills_the_height_of_a_distribution():
    lines = plot_distribution([0.0, 0.0, 0.0, 1.0], width=50, height=9).curve.lines
    assert lines[0][0] == "⣿"
    assert lines[0][-1] == " "
    assert lines[-1][-1] == "⣿"


def test_a_band_widens_the_axes_and_lies_behind():
    band = Band([0, 10], [-5.0, -5.0], [0.0, 0.0], [5.0, 5.0])
    plot = plot_curve(Points([0, 10], [1.0, 1.0]), 40, 10, band)
    assert plot.axes.lines[0].strip() == "5┤"
    assert any(character != " " for character in "".join(plot.behind.lines))
