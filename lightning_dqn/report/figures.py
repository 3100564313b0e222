"""The pictures of a report's page, each with its words for those who don't see it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lightning_dqn.report.contrasts import Contrast
from lightning_dqn.report.drawing import draw_panel, draw_profiles, ends_of, swatch
from lightning_dqn.report.panels import MOST_LINES, Panel, ranked
from lightning_dqn.report.reported import Setting
from lightning_dqn.report.tables import decimals, number_text
from lightning_dqn.reporting.glossary import GLOSSARY
from lightning_dqn.reporting.sections import pattern_of
from lightning_dqn.study.curve import METRIC
from lightning_dqn.study.tables import INTERVAL

_LARGE, _SMALL = (6.0, 3.2), (4.6, 2.7)
_TITLES = {
    METRIC: "Return of the evaluation episodes",
    "eval/episode_length": "Length of the evaluation episodes",
    "eval/episode_return_std": "Spread of the evaluation episodes' returns",
    "eval/mean_regret": "Mean regret",
    "eval/exploitability": "Exploitability",
    "eval/optimality_gap": "Optimality gap",
    "eval/q_rmse": "Error of the Q-values",
    "eval/overestimation": "Overestimation",
    "rollout/episode_return": "Return of the newest training episodes",
    "rollout/episode_length": "Length of the newest training episodes",
    "rollout/new_episode_return": "Return of the training episodes that just ended",
    "rollout/epsilon": "Epsilon",
    "train/loss": "Loss",
    "train/q_value": "Q-values learned from",
    "train/td_error": "Absolute TD error",
    "train/gradient_norm": "Gradient norm",
    "train/learning_rate": "Learning rate",
    "values/action_gap": "Action gap",
    "exploration/action_entropy": "Entropy of the actions",
    "replay/age_mean": "Age of what is learned from",
    "replay/duplicates": "Duplicates in a minibatch",
    "replay/fill": "Filled share of the ring",
    "replay/ratio": "Replay ratio",
    "network/dormant_units": "Dormant units",
    "network/target_distance": "Distance of the target network",
    "time/env_steps_per_second": "Env steps per second",
    "time/updates_per_second": "Updates per second",
}
"""What metrics are called; others by their key."""

_OF_ANOTHER = re.compile(r"(their|its|of|how many|share of them)\b")
"""How meanings begin that are to be read below another one."""


@dataclass(frozen=True)
class Figure:
    """A picture with its words.

    Attributes:
        name: no other picture of the page has it.
        title: what is drawn, in words.
        metric: its key; empty: it is of none.
        svg: the picture.
        alternative: what it shows, for those who don't see it.
        caption: more about it.
    """

    name: str
    title: str
    metric: str
    svg: str
    alternative: str
    caption: str = ""


@dataclass(frozen=True)
class KeyLine:
    """A line's sample and whose it is."""

    svg: str
    label: str


def key_of_lines(settings: list[Setting]) -> list[KeyLine]:
    """Return the samples of all lines of an environment."""
    shown = ranked(settings)[:MOST_LINES]
    return [KeyLine(swatch(place), one.label) for place, one in enumerate(shown)]


def figure_of(panel: Panel, name: str, *, is_main: bool) -> Figure:
    """Return a panel as a picture, larger for those that a report begins with."""
    size = _LARGE if is_main else _SMALL
    title, caption = title_of(panel.metric)
    if panel.runs:
        caption = f"{caption} Thin lines are single seeds.".strip()
    svg = draw_panel(panel, name, size)
    return Figure(name, title, panel.metric, svg, _described(panel, title), caption)


def title_of(metric: str) -> tuple[str, str]:
    """Return what a metric is called, and what more the glossary says of it."""
    meaning = meaning_of(metric).replace("`", "")
    is_alone = meaning and not _OF_ANOTHER.match(meaning) and metric != METRIC
    caption = f"{meaning[0].upper()}{meaning[1:]}." if is_alone else ""
    return _TITLES.get(metric, metric), caption


def meaning_of(metric: str) -> str:
    """Return what the glossary says of a metric; nothing where it doesn't know it."""
    if metric in GLOSSARY:
        return GLOSSARY[metric]
    patterns = {pattern: text for key, text in GLOSSARY.items() if (pattern := pattern_of(key))}
    return next((text for pattern, text in patterns.items() if re.match(pattern, metric)), "")


def _described(panel: Panel, title: str) -> str:
    lines = []
    for label, curve in panel.curves.items():
        first, last, env_steps = ends_of(curve)
        places = decimals([first, last])
        lines.append(
            f"{label}: from {number_text(first, places)} to {number_text(last, places)} at "
            f"{env_steps:,.0f} env steps"
        )
    return f"{title} over env steps. {'; '.join(lines)}."


def profile_figure(contrast: Contrast, name: str) -> Figure:
    """Return performance profiles as a picture."""
    svg = draw_profiles(contrast.profiles, contrast.what, name)
    lines = [
        f"{label}: half of the runs are above {_median_of(one.thresholds, one.share)}"
        for label, one in contrast.profiles.items()
    ]
    title = f"Performance profiles, {contrast.of}"
    more = f" {contrast.left_out} more settings aren't shown." if contrast.left_out else ""
    caption = (
        f"The share of runs whose {contrast.what} is above τ, with its {INTERVAL}: the higher a "
        f"line, the better (Agarwal et al. 2021).{more}"
    )
    return Figure(name, title, "", svg, f"{title}. {'; '.join(lines)}.", caption)


def _median_of(thresholds: object, share: object) -> str:
    import numpy as np

    levels, shares = np.asarray(thresholds), np.asarray(share)
    above = levels[shares >= 0.5]
    return number_text(float(above[-1] if len(above) else levels[0]), decimals(levels))
