"""The words of pictures."""

import numpy as np

from lightning_dqn.report.contrasts import Contrast
from lightning_dqn.report.figures import _TITLES, figure_of, profile_figure, title_of
from lightning_dqn.report.panels import Panel
from lightning_dqn.reporting.glossary import GLOSSARY
from lightning_dqn.study.curve import Curve
from lightning_dqn.study.profiles import performance_profile


def test_a_picture_is_told_in_numbers():
    curve = Curve(np.array([100.0, 2_000.0]), np.array([1.0, 20.0]), *np.full((2, 2), np.nan))
    panel = Panel("train/loss", "E", {"mine": curve}, {"mine": 0})
    figure = figure_of(panel, "f", is_main=True)
    assert figure.alternative == (
        "Loss over env steps. mine: from 1.00 to 20.00 at 2,000 env steps."
    )
    assert figure.title == "Loss"
    assert figure.caption == "Mean loss of the iteration's updates."


def test_a_metric_has_its_own_title_or_its_key():
    assert title_of("my/metric") == ("my/metric", "")
    title, caption = title_of("network/weight_norm/torso.0")
    assert title == "network/weight_norm/torso.0"
    assert caption.startswith("L2 norm of a layer's parameters")
    assert title_of("eval/episode_length") == ("Length of the evaluation episodes", "")


def test_titles_are_of_metrics_that_there_are():
    assert set(_TITLES) <= set(GLOSSARY)


def test_a_profile_is_told_by_its_middle():
    levels = np.linspace(0, 4, 9)
    found = {"a": performance_profile({"E": [1.0, 2.0, 3.0]}, levels)}
    figure = profile_figure(Contrast("E", "return", found, (), 2), "p")
    assert "a: half of the runs are above 1.500" in figure.alternative
    assert "2 more settings aren't shown" in figure.caption
