"""Curves to draw: a metric of all settings of one environment, over the env steps."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from lightning_dqn.report.logged import thinned
from lightning_dqn.report.reported import Reported, ReportedRun, Setting
from lightning_dqn.reporting.metrics_file import Series
from lightning_dqn.reporting.sections import sections
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.mistakes import near
from lightning_dqn.study.curve import METRIC, Curve, join

MOST_LINES = 8
"""Settings that a picture shows: the best."""

MOST_POINTS = 60
"""Of a line; more are averaged."""

_MOST_DIAGNOSTICS, _ALL_DIAGNOSTICS = 18, 90
"""Pictures of an environment, and of a report."""

_INSTEAD = "rollout/episode_return"
"""Where nothing was evaluated."""

_FIRST = (
    *(_INSTEAD, "eval/mean_regret", "eval/exploitability", "train/loss", "train/td_error"),
    *("train/q_value", "train/gradient_norm", "eval/overestimation", "values/action_gap"),
    *("network/dormant_units", "network/target_distance", "exploration/action_entropy"),
    *("replay/age_mean", "replay/duplicates", "eval/episode_length", "rollout/epsilon"),
    *("train/learning_rate", "time/env_steps_per_second"),
)
"""Diagnostics that say most, the others follow as a dashboard has them."""

_NONE_OF_THEM = re.compile(r"(test/.*|train/updates|eval/episodes(_cut)?|.*_p(?!50$)\d+)")


@dataclass(frozen=True)
class Panel:
    """One metric in one environment.

    Attributes:
        metric: that is drawn.
        environment: of the runs.
        curves: by the settings' labels, the best setting first.
        places: of these labels among all settings of the environment, by which lines are styled.
        runs: of a single setting the runs themselves, else none.
    """

    metric: str
    environment: str
    curves: dict[str, Curve]
    places: dict[str, int]
    runs: tuple[Series, ...] = ()


def ranked(settings: Iterable[Setting]) -> list[Setting]:
    """Return settings with the highest interquartile mean first, those without a return last."""
    return sorted(settings, key=lambda one: one.results.iqm, reverse=True)


def shown_runs(setting: Setting) -> list[ReportedRun]:
    """Return the runs whose curves are drawn: the finished ones, or all where none is."""
    finished = [run for run in setting.runs if run.state == "finished"]
    return finished or list(setting.runs)


def panel(environment: str, settings: Sequence[Setting], metric: str) -> Panel | None:
    """Return a metric's curves; None where no setting has any."""
    curves: dict[str, Curve] = {}
    places: dict[str, int] = {}
    drawn: list[Series] = []
    for place, setting in enumerate(ranked(settings)[:MOST_LINES]):
        found = [run.logged[metric] for run in shown_runs(setting) if metric in run.logged]
        some = [thinned(one, MOST_POINTS) for one in found]
        curve = join(some)
        if curve is not None:
            curves[setting.label], places[setting.label] = curve, place
            drawn = some
    if not curves:
        return None
    is_single = len(settings) == 1 and len(drawn) > 1
    return Panel(metric, environment, curves, places, tuple(drawn) if is_single else ())


def main_panels(reported: Reported, metrics: Sequence[str]) -> list[Panel]:
    """Return the panels of some metrics, those of an environment together.

    Args:
        reported: all that there is.
        metrics: none: what evaluations returned, or training where nothing was evaluated.

    Raises:
        ConfigError: no run logged one of the metrics.
    """
    _check(reported, metrics)
    found = []
    for environment, settings in reported.environments.items():
        own = metrics or [METRIC if METRIC in logged_by(settings) else _INSTEAD]
        panels = [panel(environment, settings, metric) for metric in own]
        found += [one for one in panels if one is not None]
    return found


def _check(reported: Reported, metrics: Sequence[str]) -> None:
    known = logged_by(reported.settings)
    for metric in metrics:
        if metric not in known:
            there_are = near(metric, sorted(known)) or f"there are {', '.join(sorted(known))}"
            raise ConfigError(
                f"metric={metric}: no run logged it; {there_are if known else 'none logged any'}"
            )


def logged_by(settings: Iterable[Setting]) -> set[str]:
    """Return the metrics that any of the shown runs logged."""
    return {key for setting in settings for run in shown_runs(setting) for key in run.logged}


def diagnostics(reported: Reported, besides: Sequence[str]) -> tuple[list[Panel], list[str]]:
    """Return the panels of what else was logged, and which metrics are left out for their number.

    What never changed in any run, counts, and percentiles but the median are no curves to look at.

    Args:
        reported: all that there is.
        besides: metrics that are drawn already; none: the returns are.
    """
    environments = reported.environments
    most = max(6, min(_MOST_DIAGNOSTICS, _ALL_DIAGNOSTICS // max(1, len(environments))))
    found, left_out = [], []
    for environment, settings in environments.items():
        has_evaluations = METRIC in logged_by(settings)
        drawn = {*besides} or {METRIC if has_evaluations else _INSTEAD}
        keys = [key for key in _ordered(logged_by(settings) - drawn) if _moves(settings, key)]
        panels = [panel(environment, settings, key) for key in keys[:most]]
        found += [one for one in panels if one is not None]
        left_out += keys[most:]
    return found, list(dict.fromkeys(left_out))


def _ordered(keys: set[str]) -> list[str]:
    rest = [key for some in sections(sorted(keys)).values() for key in some if key not in _FIRST]
    first = [key for key in _FIRST if key in keys]
    return [key for key in [*first, *rest] if not _NONE_OF_THEM.fullmatch(key)]


def _moves(settings: Sequence[Setting], metric: str) -> bool:
    runs = [run for setting in settings for run in shown_runs(setting) if metric in run.logged]
    return any(np.ptp(run.logged[metric].value) > 0 for run in runs)
