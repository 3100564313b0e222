"""The page: everything put into one HTML file that needs no other one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from lightning_dqn import __version__
from lightning_dqn.report import tables
from lightning_dqn.report.contrasts import Contrast
from lightning_dqn.report.drawing import swatch
from lightning_dqn.report.episodes import Episodes, episodes_of
from lightning_dqn.report.figures import (
    Figure,
    KeyLine,
    figure_of,
    key_of_lines,
    profile_figure,
)
from lightning_dqn.report.numbers import Numbers
from lightning_dqn.report.panels import MOST_POINTS, Panel
from lightning_dqn.report.reported import Setting
from lightning_dqn.report.tables import Table

_TEMPLATES = Path(__file__).parent / "page"
_MOST_NAMED = 3
_UNFINISHED = ("failed", "unfinished", "not begun")


@dataclass(frozen=True)
class Curves:
    """The pictures of one environment, with the key to their lines."""

    environment: str
    key: list[KeyLine]
    figures: list[Figure]


@dataclass(frozen=True)
class Comparison:
    """Settings of one environment, or suites, held against each other."""

    of: str
    key: list[KeyLine]
    figure: Figure
    table: Table


def page_text(numbers: Numbers, folder: Path) -> tuple[str, list[str]]:
    """Return the page as HTML.

    Args:
        numbers: that it tells.
        folder: in which it will lie, from which it links what is too large to be in it.

    Returns:
        The page, and what is left out and why, in a line each.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    episodes, notes = episodes_of(numbers.reported)
    view = _view(numbers, episodes, notes)
    style = (_TEMPLATES / "report.css").read_text()
    text = environment.get_template("report.html.j2").render(**view, style=style, folder=folder)
    return text, notes


def _view(numbers: Numbers, episodes: list[Episodes], notes: list[str]) -> dict[str, Any]:
    reported = numbers.reported
    return {
        "title": title_of(numbers),
        "told": _counts_text(numbers),
        "version": __version__,
        "time": f"{datetime.now():%Y-%m-%d %H:%M}",
        "notes": [*reported.notes, *_states(numbers), *_by_hand(numbers), *notes],
        "evaluation": tables.evaluation_table(numbers),
        "curves": _curves(numbers, numbers.main, is_main=True),
        "most_points": MOST_POINTS,
        "left_out": numbers.left_out,
        "diagnostics": _curves(numbers, numbers.diagnostics, is_main=False),
        "comparisons": _comparisons(numbers),
        "aggregates": tables.aggregates_table(numbers.aggregates) if numbers.aggregates else None,
        "differences": (
            tables.differences_table(numbers.differences) if numbers.differences else None
        ),
        "findings": tables.findings_table(numbers),
        "looked_at": len(numbers.findings),
        "episodes": episodes,
        "runs": [tables.runs_table(one) for one in reported.settings],
        "origins": tables.origins_table(numbers),
        "commands": _commands(numbers),
    }


def title_of(numbers: Numbers) -> str:
    """Return what a report is called, by what it is of."""
    names = list(dict.fromkeys(one.label for one in numbers.reported.settings))
    if len(names) > _MOST_NAMED:
        return f"Report of {len(names)} settings"
    return f"Report of {', '.join(names)}"


def _counts_text(numbers: Numbers) -> str:
    settings = numbers.reported.settings
    runs = [run for setting in settings for run in setting.runs]
    counted = [
        _counted(len(runs), "run"),
        _counted(len(settings), "setting"),
        _counted(len(numbers.reported.environments), "environment"),
    ]
    finished = sum(run.state == "finished" for run in runs)
    return f"{', '.join(counted)}; {finished} of {len(runs)} runs finished."


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _states(numbers: Numbers) -> list[str]:
    """Return a line for each setting with runs that aren't finished."""
    return [note for setting in numbers.reported.settings if (note := _state(setting))]


def _state(setting: Setting) -> str:
    counts = {
        state: sum(run.state == state for run in setting.runs) for state in (*_UNFINISHED, "pruned")
    }
    states = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    return f"{setting.label}: of {_counted(len(setting.runs), 'run')} {states}" if states else ""


def _by_hand(numbers: Numbers) -> Iterator[str]:
    """Yield a line for each setting with runs that no command makes again."""
    for setting in numbers.reported.settings:
        changed = sum(bool(run.changed_by_hand) for run in setting.runs)
        if changed:
            runs = _counted(len(setting.runs), "run")
            yield f"{setting.label}: of {runs} {changed} changed by hand, see Runs"


def _curves(numbers: Numbers, panels: list[Panel], *, is_main: bool) -> list[Curves]:
    found = []
    kind = "curve" if is_main else "diagnostic"
    for place, (environment, settings) in enumerate(numbers.reported.environments.items()):
        own = [one for one in panels if one.environment == environment]
        figures = [
            figure_of(panel, f"{kind}-{place}-{number}", is_main=is_main)
            for number, panel in enumerate(own)
        ]
        if figures:
            found.append(Curves(environment, key_of_lines(settings), figures))
    return found


def _comparisons(numbers: Numbers) -> list[Comparison]:
    return [
        Comparison(
            one.of,
            _key(one),
            profile_figure(one, f"profile-{place}"),
            tables.improvement_table(one),
        )
        for place, one in enumerate(numbers.contrasts)
    ]


def _key(contrast: Contrast) -> list[KeyLine]:
    return [KeyLine(swatch(place), label) for place, label in enumerate(contrast.profiles)]


def _commands(numbers: Numbers) -> list[tuple[str, str]]:
    """Return the commands that make the runs again, by what they make; a sweep's whole first."""
    found = []
    for source in numbers.reported.sources:
        if source.command is not None and len(source.settings) > 1:
            found.append((f"All of {source.name}", source.command))
        for setting in source.settings:
            if setting.command is not None:
                found.append((setting.label, setting.command))
    return found
