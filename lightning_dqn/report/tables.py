"""The tables of a report's page, as texts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lightning_dqn.report.contrasts import Aggregate, Contrast
from lightning_dqn.report.numbers import Numbers
from lightning_dqn.report.reported import ReportedRun, Setting
from lightning_dqn.reporting.tables import duration, interval_text
from lightning_dqn.study.aggregates import Estimate
from lightning_dqn.study.tables import INTERVAL

NONE = "—"
"""What stands where there is nothing, to be heard as well as seen."""

_MOST_COLUMNS = 8
"""Settings beside each other; more of them stand below each other."""


@dataclass(frozen=True)
class Table:
    """A table whose first column says what each row is.

    Attributes:
        caption: above it.
        head: a text for each column.
        rows: of as many texts.
        is_text: columns that aren't numbers, counted from 0.
        note: below it.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    is_text: frozenset[int] = frozenset({0})
    note: str = ""


def decimals(values: Iterable[float]) -> int:
    """Return how many decimals values have that stand together: four digits of the largest."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    return 1 if largest == 0 else max(0, min(5, 3 - math.floor(math.log10(largest))))


def number_text(value: float | None, places: int) -> str:
    """Return a number with its thousands apart; no zero is negative."""
    return NONE if value is None else format(value, _form(places))


def _form(places: int) -> str:
    return f"z,.{places}f"


def evaluation_table(numbers: Numbers) -> Table:
    """Return a row for each setting, the best of each environment first."""
    several = len(numbers.reported.environments) > 1
    head = ["Setting", *(["Environment"] if several else []), "Seeds", f"IQM [{INTERVAL}]"]
    head += ["Mean", "Median", "Min", "Max", "Episodes", "Env steps", "Time"]
    rows = []
    for one in numbers.evaluated:
        seeds = str(one.of) if one.finished == one.of else f"{one.finished} of {one.of}"
        cells = [one.setting, *([one.environment] if several else []), seeds]
        values, places = one.values, decimals(one.values.values())
        ends = (values["low"], values["high"]) if "low" in values else None
        iqm = interval_text(values["iqm"], ends, _form(places)) if values else "no result"
        others = [number_text(values.get(k), places) for k in ("mean", "median", "min", "max")]
        steps = f"{one.env_steps:,}" if one.env_steps else NONE
        episodes = NONE if one.episodes is None or not values else f"{one.episodes:,}"
        time = duration(one.wall_seconds) if values else NONE
        rows.append([*cells, iqm, *others, episodes, steps, time])
    return Table(
        "Test returns of the finished runs",
        head,
        rows,
        frozenset({0, 1}) if several else frozenset({0}),
        "IQM is the interquartile mean over seeds; its interval is by the stratified bootstrap "
        "(Agarwal et al. 2021), and a single seed has none. Episodes are those of each run's "
        "test; where there are 0, its best evaluation stands for it. Time is that of all seeds "
        "together.",
    )


def runs_table(setting: Setting) -> Table:
    """Return a row for each run of a setting, with what became of it."""
    results = [run.result for run in setting.runs if run.result is not None]
    places = decimals(one.episode_return for one in results)
    rows = [_run_row(run, places) for run in setting.runs]
    head = ["Seed", "State", "Return", "±", "Episodes", "Env steps", "Updates", "Time", "Folder"]
    reasons = [f"Seed {_seed(run)}: {run.reason}." for run in setting.runs if run.reason]
    reasons += [
        f"Seed {_seed(run)} was changed by hand: {'; '.join(run.changed_by_hand)}."
        for run in setting.runs
        if run.changed_by_hand
    ]
    return Table(f"Runs of {setting.label}", head, rows, frozenset({0, 1, 8}), " ".join(reasons))


def _run_row(run: ReportedRun, places: int) -> list[str]:
    steps = NONE if run.env_steps is None else f"{run.env_steps:,}"
    one = run.result
    if one is None:
        return [_seed(run), run.state, *[NONE] * 3, steps, NONE, NONE, str(run.folder)]
    return [
        _seed(run),
        run.state,
        number_text(one.episode_return, places),
        number_text(one.episode_return_std, places),
        f"{one.episodes:,}",
        steps,
        f"{one.updates:,}",
        duration(one.wall_seconds),
        str(run.folder),
    ]


def _seed(run: ReportedRun) -> str:
    return "unknown" if run.seed is None else str(run.seed)


def improvement_table(contrast: Contrast) -> Table:
    """Return a row for each pair of settings."""
    rows = [[one.better, one.worse, _estimate(one.estimate, 2)] for one in contrast.improvements]
    return Table(
        f"Probability of improvement, {contrast.of}",
        ["X", "Y", f"P(X > Y) [{INTERVAL}]"],
        rows,
        frozenset({0, 1}),
        "The probability that a run of X has a higher score than a run of Y, a tie counting half.",
    )


def aggregates_table(aggregates: Sequence[Aggregate]) -> Table:
    """Return what suites come to over their games, and published agents beside them."""
    names = {"iqm": "IQM", "median": "Median", "mean": "Mean", "optimality_gap": "Optimality gap"}
    head = ["Agent", "Over", "Games", *(f"{names.get(k, k)}" for k in aggregates[0].statistics)]
    rows = [
        [one.agent, one.over, str(one.games), *(_estimate(e, 3) for e in one.statistics.values())]
        for one in aggregates
    ]
    note = f"In brackets the {INTERVAL}. An optimality gap is the better the smaller it is."
    return Table("Human-normalised scores over all games", head, rows, frozenset({0, 1}), note)


def _estimate(estimate: Estimate, places: int) -> str:
    return interval_text(estimate.value, estimate.interval, _form(places))


def differences_table(differences: dict[str, dict[str, str | None]]) -> Table:
    """Return the keys in which settings differ; a row for each setting where they are many."""
    labels = list(dict.fromkeys(label for values in differences.values() for label in values))
    lines = [
        [key, *(_value(values.get(label)) for label in labels)]
        for key, values in differences.items()
    ]
    table = [["Key", *labels], *lines]
    if len(labels) > _MOST_COLUMNS and len(labels) > len(differences):
        table = [list(column) for column in zip(*table, strict=True)]
        table[0][0] = "Setting"
    [head, *rows] = table
    is_text = frozenset(range(len(head)))
    return Table("Keys in which the settings' configurations differ", head, rows, is_text)


def _value(value: str | None) -> str:
    return NONE if value is None else value


def findings_table(numbers: Numbers) -> Table:
    """Return a row for each thing that was found in a run."""
    rows = [
        [
            one.name,
            label,
            _seed(run),
            NONE if one.env_step is None else f"{one.env_step:,}",
            one.what,
            one.advice,
        ]
        for label, run, found in numbers.findings
        for one in found
    ]
    head = ["Finding", "Setting", "Seed", "Env step", "What", "What to do"]
    return Table("What looks wrong in the runs", head, rows, frozenset({0, 1, 4, 5}))


def origins_table(numbers: Numbers) -> Table:
    """Return where the runs were made."""
    rows = [
        [
            one.cpu or NONE,
            one.device or NONE,
            str(one.runs),
            duration(one.wall_seconds),
            duration(one.wall_seconds / one.runs),
            one.versions or NONE,
            one.commit or NONE,
        ]
        for one in numbers.origins
    ]
    head = ["Processor", "Device", "Runs", "Time", "Per run", "Versions", "Commit"]
    return Table(
        "Hardware, time and versions of the finished runs", head, rows, frozenset({0, 1, 5, 6})
    )
