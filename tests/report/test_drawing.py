"""Pictures: in the page's own colours and letters, and none in another's way."""

import re
import sys

import numpy as np
import pytest

from lightning_dqn.report.drawing import (
    COLORS,
    check_installed,
    draw_panel,
    draw_profiles,
    steps_text,
    swatch,
)
from lightning_dqn.report.panels import Panel
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.study.curve import Curve
from lightning_dqn.study.profiles import performance_profile

STEPS = np.array([0.0, 10_000.0, 20_000.0])


def panel(lines=1, scale=1.0):
    value = scale * np.array([0.0, 1.0, 2.0])
    curves = {
        f"s{n}": Curve(STEPS, value + n, value + n - scale, value + n + scale) for n in range(lines)
    }
    return Panel("eval/episode_return", "E", curves, {f"s{n}": n for n in range(lines)})


def test_colours_are_those_of_the_style_sheet():
    svg = draw_panel(panel(COLORS), "a", (6, 3.2))
    assert re.findall(r"#[0-9a-f]{6}\b", svg) == []
    for number in range(COLORS):
        assert f"var(--series-{number})" in svg
    assert "var(--quiet)" in svg
    assert "<style" not in svg


def test_text_stays_text_and_small_numbers_whole():
    svg = draw_panel(panel(scale=0.0005), "a", (6, 3.2))
    shown = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    assert "env steps" in shown
    assert "20k" in shown
    assert len({float(text) for text in shown if text.startswith("0.000")}) > 2
    assert "font-family" not in svg


def test_no_two_pictures_share_a_name():
    pictures = [draw_panel(panel(2), name, (6, 3.2)) for name in ("a", "b")]
    names = [re.findall(r' id="([^"]+)"', one) for one in pictures]
    assert not set(names[0]) & set(names[1])
    for picture, own in zip(pictures, names, strict=True):
        assert set(re.findall(r'(?:url\(|href=")#([^")]+)', picture)) <= set(own)


def test_a_picture_fetches_nothing():
    svg = draw_panel(panel(), "a", (6, 3.2))
    assert not re.search(r"https?://", re.sub(r'xmlns(:\w+)?="[^"]*"', "", svg))


def test_the_same_numbers_are_the_same_picture():
    assert draw_panel(panel(), "a", (6, 3.2)) == draw_panel(panel(), "a", (6, 3.2))


def test_lines_of_one_colour_differ_by_dashes_or_marks():
    def strokes(number):
        found = re.sub(r"swatch\d+", "", swatch(number))
        return re.sub(r"m[0-9a-f]{10}", "", found)

    assert len({strokes(number) for number in range(2 * COLORS)}) == 2 * COLORS


def test_a_profile_is_drawn_with_its_axis():
    scores = {"a": {"E": [1.0, 2.0]}, "b": {"E": [3.0]}}
    found = {k: performance_profile(v, np.linspace(0, 4, 9)) for k, v in scores.items()}
    svg = draw_profiles(found, "return", "p")
    assert "return τ" in svg
    assert svg.count("fill-opacity: 0.18") == 1


@pytest.mark.parametrize(
    ("value", "text"), [(800, "800"), (20_000, "20k"), (1_500_000, "1.5M"), (0, "0")]
)
def test_env_steps_are_short(value, text):
    assert steps_text(value) == text


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigError, match=r"lightning-dqn\[plot\]"):
        check_installed()
