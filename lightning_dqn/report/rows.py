"""The numbers of a report as rows of one table, a number in each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from lightning_dqn.report.numbers import Numbers
from lightning_dqn.report.panels import Panel
from lightning_dqn.reporting.tables import table_text

COLUMNS = ("table", "environment", "setting", "seed", "key", "x", "value", "low", "high")
"""``table`` is what a row is of; ``x`` are env steps, a threshold, or the setting that is worse."""


def csv_text(numbers: Numbers) -> str:
    """Return the numbers as CSV, one with its interval in each row."""
    rows = [*_evaluation(numbers), *_runs(numbers), *_curves(numbers), *_contrasts(numbers)]
    rows += _aggregates(numbers)
    return table_text([{**dict.fromkeys(COLUMNS, ""), **row} for row in rows])


def _evaluation(numbers: Numbers) -> Iterator[dict[str, Any]]:
    for one in numbers.evaluated:
        where = {"table": "evaluation", "environment": one.environment, "setting": one.setting}
        for key in ("iqm", "mean", "median", "min", "max"):
            if key in one.values:
                ends = ("low", "high") if key == "iqm" else ()
                interval = {end: one.values.get(end, "") for end in ends}
                yield {**where, "key": key, "value": one.values[key], **interval}
        yield {**where, "key": "finished", "value": one.finished}
        yield {**where, "key": "runs", "value": one.of}
        yield {**where, "key": "wall_seconds", "value": one.wall_seconds}


def _runs(numbers: Numbers) -> Iterator[dict[str, Any]]:
    for setting in numbers.reported.settings:
        for run in setting.runs:
            where = {
                "table": "runs",
                "environment": setting.environment,
                "setting": setting.label,
                "seed": "" if run.seed is None else run.seed,
            }
            yield {**where, "key": "state", "value": run.state}
            if run.env_steps is not None:
                yield {**where, "key": "env_steps", "value": run.env_steps}
            if run.changed_by_hand:
                yield {**where, "key": "changes_by_hand", "value": len(run.changed_by_hand)}
            if run.result is not None:
                for key in ("episode_return", "episode_return_std", "episodes", "wall_seconds"):
                    if (value := getattr(run.result, key)) is not None:
                        yield {**where, "key": key, "value": value}


def _curves(numbers: Numbers) -> Iterator[dict[str, Any]]:
    for panel in (*numbers.main, *numbers.diagnostics):
        for label in panel.curves:
            yield from _curve(panel, label)


def _curve(panel: Panel, label: str) -> Iterator[dict[str, Any]]:
    where = {
        "table": "curve",
        "environment": panel.environment,
        "setting": label,
        "key": panel.metric,
    }
    for env_steps, *values in zip(*panel.curves[label], strict=True):
        yield {**where, "x": env_steps, **_estimate(values)}


def _contrasts(numbers: Numbers) -> Iterator[dict[str, Any]]:
    for one in numbers.contrasts:
        for label, profile in one.profiles.items():
            where = {"table": "performance profile", "environment": one.of, "setting": label}
            known = [array for array in profile if array is not None]
            for threshold, *values in zip(*known, strict=True):
                yield {**where, "key": one.what, "x": threshold, **_estimate(values)}
        for pair in one.improvements:
            yield {
                "table": "probability of improvement",
                "environment": one.of,
                "setting": pair.better,
                "x": pair.worse,
                **_estimate([pair.estimate.value, *(pair.estimate.interval or ())]),
            }


def _aggregates(numbers: Numbers) -> Iterator[dict[str, Any]]:
    for one in numbers.aggregates:
        for key, estimate in one.statistics.items():
            where = {
                "table": "aggregate",
                "environment": f"{one.games} games",
                "setting": one.agent,
            }
            values = [estimate.value, *(estimate.interval or ())]
            yield {**where, "key": key, "x": one.over, **_estimate(values)}


def _estimate(values: Sequence[float]) -> dict[str, Any]:
    """Return a value with its interval where there is one."""
    named = zip(("value", "low", "high"), values, strict=False)
    return {key: "" if np.isnan(value) else f"{value:.10g}" for key, value in named}
