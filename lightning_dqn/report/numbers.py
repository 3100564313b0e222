"""All numbers of a report, computed once for the page and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lightning_dqn.report.configuration import differences
from lightning_dqn.report.contrasts import Aggregate, Contrast, contrasts, suite_aggregates
from lightning_dqn.report.findings import ReportedFinding, read_findings
from lightning_dqn.report.panels import Panel, diagnostics, main_panels, ranked
from lightning_dqn.report.reported import Reported, ReportedRun, Setting
from lightning_dqn.study.results import CONFIDENCE


@dataclass(frozen=True)
class Evaluated:
    """What a setting's finished runs return in their tests.

    Attributes:
        setting: its label.
        environment: of the runs.
        finished: runs that have a result.
        of: all runs.
        values: ``iqm``, ``low``, ``high``, ``mean``, ``median``, ``min`` and ``max``, without
            ``low`` and ``high`` where a single run has no interval; none without a result.
        episodes: of a run's test; 0: its best evaluation stands for it; None: runs differ.
        env_steps: of the longest run.
        wall_seconds: of all runs together.
    """

    setting: str
    environment: str
    finished: int
    of: int
    values: dict[str, float]
    episodes: int | None
    env_steps: int | None
    wall_seconds: float


@dataclass(frozen=True)
class Origin:
    """Where runs were made, and how many of them, in how much time."""

    cpu: str
    device: str
    versions: str
    commit: str
    runs: int
    wall_seconds: float


@dataclass(frozen=True)
class Numbers:
    """Everything that a report tells in numbers.

    Attributes:
        reported: what it is of.
        evaluated: the settings of each environment, the best first.
        main: curves that it begins with.
        diagnostics: the other curves.
        left_out: metrics that there was no room for.
        contrasts: settings held against each other.
        aggregates: what suites come to.
        differences: keys in which settings differ -> label -> value.
        findings: of runs that were looked at: the setting's label, the run and what was found.
        origins: hardware, versions and commits.
    """

    reported: Reported
    evaluated: list[Evaluated]
    main: list[Panel]
    diagnostics: list[Panel]
    left_out: list[str]
    contrasts: list[Contrast]
    aggregates: list[Aggregate]
    differences: dict[str, dict[str, str | None]]
    findings: list[tuple[str, ReportedRun, list[ReportedFinding]]]
    origins: list[Origin]

    @classmethod
    def of(cls, reported: Reported, metrics: Sequence[str] = ()) -> Numbers:
        """Compute all of them.

        Args:
            reported: what the report is of.
            metrics: that it begins with; none: the returns.

        Raises:
            ConfigError: no run logged one of the metrics, or a file is damaged.
        """
        main = main_panels(reported, metrics)
        others, left_out = diagnostics(reported, metrics)
        return cls(
            reported,
            [_evaluated(one) for own in reported.environments.values() for one in ranked(own)],
            main,
            others,
            left_out,
            contrasts(reported),
            suite_aggregates(reported),
            differences({one.label: one.configuration for one in reported.settings}),
            _findings(reported),
            _origins(reported),
        )


def _evaluated(setting: Setting) -> Evaluated:
    results = setting.results
    known = results.aggregate()
    values: dict[str, float] = {
        key: known[key] for key in ("iqm", "mean", "median", "min", "max") if key in known
    }
    if results.interval is not None:
        values |= dict(zip(("low", "high"), results.interval, strict=True))
    episodes = {run.episodes for run in results.runs}
    return Evaluated(
        setting.label,
        setting.environment,
        len(results.runs),
        len(setting.runs),
        values,
        episodes.pop() if len(episodes) == 1 else None,
        max((run.env_steps or 0 for run in setting.runs), default=None),
        sum(run.wall_seconds for run in results.runs),
    )


def _findings(reported: Reported) -> list[tuple[str, ReportedRun, list[ReportedFinding]]]:
    return [
        (setting.label, run, found)
        for setting in reported.settings
        for run in setting.runs
        if (found := read_findings(run.folder)) is not None
    ]


def _origins(reported: Reported) -> list[Origin]:
    found: dict[tuple[str, str, str, str], list[float]] = {}
    for setting in reported.settings:
        for run in setting.results.runs:
            versions = ", ".join(f"{name} {one}" for name, one in run.versions.items())
            hardware = run.hardware
            key = (hardware.get("cpu", ""), hardware.get("device", ""), versions, run.commit or "")
            found.setdefault(key, []).append(run.wall_seconds)
    return [Origin(*key, len(seconds), sum(seconds)) for key, seconds in found.items()]


def plain(numbers: Numbers) -> dict[str, Any]:
    """Return the numbers as JSON has them; what isn't known is null."""
    reported = numbers.reported
    return {
        "confidence": CONFIDENCE,
        "settings": [_plain_setting(one) for one in reported.settings],
        "evaluation": [_without(vars(one), "values") | one.values for one in numbers.evaluated],
        "curves": [_plain_panel(one) for one in (*numbers.main, *numbers.diagnostics)],
        "performance_profiles": [
            {
                "of": one.of,
                "score": one.what,
                "profiles": {k: _lists(v._asdict()) for k, v in one.profiles.items()},
            }
            for one in numbers.contrasts
        ],
        "probability_of_improvement": [
            {"of": one.of, "better": pair.better, "worse": pair.worse, **pair.estimate._asdict()}
            for one in numbers.contrasts
            for pair in one.improvements
        ],
        "aggregates": [
            _without(vars(one), "statistics")
            | {key: estimate._asdict() for key, estimate in one.statistics.items()}
            for one in numbers.aggregates
        ],
        "differences": numbers.differences,
        "findings": [
            {"setting": label, "seed": run.seed, **finding._asdict()}
            for label, run, found in numbers.findings
            for finding in found
        ],
        "origins": [vars(one) for one in numbers.origins],
        "notes": list(reported.notes),
    }


def _plain_setting(setting: Setting) -> dict[str, Any]:
    return {
        "setting": setting.label,
        "environment": setting.environment,
        "command": setting.command,
        "runs": [
            {
                "folder": str(run.folder),
                "seed": run.seed,
                "state": run.state,
                "reason": run.reason,
                "env_steps": run.env_steps,
                "changed_by_hand": run.changed_by_hand,
                "result": None if run.result is None else _without(vars(run.result), "run_dir"),
            }
            for run in setting.runs
        ],
    }


def _plain_panel(panel: Panel) -> dict[str, Any]:
    return {
        "metric": panel.metric,
        "environment": panel.environment,
        "settings": {label: _lists(curve._asdict()) for label, curve in panel.curves.items()},
    }


def _lists(arrays: dict[str, Any]) -> dict[str, list[float | None] | None]:
    """Return arrays as lists; NaN, which JSON hasn't got, is None."""
    return {
        key: None if one is None else [None if np.isnan(v) else float(v) for v in one]
        for key, one in arrays.items()
    }


def _without(values: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name != key}
