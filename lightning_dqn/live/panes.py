"""The panes of a dashboard, each drawn into its area of a sheet."""

from __future__ import annotations

import math
import re

from lightning_dqn.live.choice import PLOTS, Choice
from lightning_dqn.live.numbers import clock, count, short
from lightning_dqn.live.plots import Layer, Plot, plot_curve, plot_distribution
from lightning_dqn.live.sheet import (
    ACCENT,
    BOLD,
    CHOSEN,
    DIM,
    GOOD,
    PLAIN,
    SECOND,
    WARN,
    Area,
    Sheet,
)
from lightning_dqn.live.state import Glance, State

_LEAST_VALUES = 30
"""Columns in which values of actions can be told apart."""

_SPACES = re.compile(" {2,}")

_PHASES = {"training": GOOD, "paused": WARN, "stopping": WARN}


def draw_status(sheet: Sheet, area: Area, state: State) -> None:
    """Draw what runs, where it stands and how fast it is."""
    left = state.seconds_left
    epochs = "" if state.epochs is None else f" of {state.epochs}"
    total = "" if state.total_env_steps is None else f" of {state.total_env_steps:,}"
    fill = "-" if state.fill is None else f"{state.fill:.0%}"
    rows = [
        ("run", state.name),
        ("device", state.device),
        ("phase", state.phase),
        ("epoch", f"{state.epoch + 1}{epochs}"),
        ("env steps", f"{state.env_steps:,}{total}"),
        ("updates", f"{state.updates:,}"),
        ("replay", f"{fill} full"),
        ("speed", f"{count(state.speed)} env steps/s, {count(state.updates_speed)} upd/s"),
        ("time left", "-" if left is None else clock(left)),
    ]
    for line, (name, value) in enumerate(rows):
        style = _PHASES.get(state.phase, ACCENT) if name == "phase" else PLAIN
        sheet.write_in(area, line, name, DIM)
        sheet.write_in(area, line, value, style, indent=10)


def draw_tunable(sheet: Sheet, area: Area, state: State, choice: Choice) -> None:
    """Draw the hyper-parameters that keys change, and what was changed."""
    chosen = choice.tunable if choice.tunable in state.tunable else next(iter(state.tunable), "")
    for line, (name, value) in enumerate(state.tunable.items()):
        mark = "▸" if name == chosen else " "
        style = BOLD if name == chosen else PLAIN
        sheet.write_in(area, line, f"{mark} {name:<14}{short(value)}", style)
    for line, text in enumerate(reversed(state.changed), start=len(state.tunable)):
        sheet.write_in(area, line, text, WARN)


def draw_metrics(sheet: Sheet, area: Area, state: State, choice: Choice) -> None:
    """Draw last, mean and best of each metric, the one of the plot among them."""
    sheet.write_in(area, 0, columns(area.width, "metric", "last", "mean", "best"), DIM)
    names = state.history.names()
    room = area.height - 1
    chosen = names.index(choice.metric) if choice.metric in names else 0
    first = max(0, min(chosen - room // 2, len(names) - room))
    for line, name in enumerate(names[first : first + room], start=1):
        style = CHOSEN if first + line - 1 == chosen else PLAIN
        sheet.write_in(area, line, row_of(state, name, area.width), style)


def row_of(state: State, name: str, width: int) -> str:
    """Return a metric's line of the table."""
    series = state.history.series[name]
    best = "" if series.best is None else short(series.best)
    return columns(width, name, short(series.last), short(series.mean), best)


def columns(width: int, name: str, last: str, mean: str, best: str) -> str:
    """Return a line of the table: a name cut where it is too long, and three values."""
    room = max(width - 27, 6)
    if len(name) > room:
        begin = min(name.find("/") + 1, room // 2)
        name = f"{name[:begin]}…{name[len(name) - room + begin + 1 :]}"
    return f"{name:<{room}}{last:>9}{mean:>9}{best:>9}"


def draw_plot(sheet: Sheet, area: Area, state: State, choice: Choice) -> None:
    """Draw the plot of the chosen metric."""
    names = state.history.names()
    name = choice.metric if choice.metric in names else (names[0] if names else "")
    tabs = "  ".join(f"[{one}]" if one == choice.plot else f" {one} " for one in PLOTS)
    if len(tabs) + len(name) + 2 > area.width:
        tabs = f"[{choice.plot}]"
    sheet.write_in(area, 0, name or "no metric was logged yet", BOLD)
    sheet.write_in(area, 0, tabs, DIM, indent=max(area.width - len(tabs), len(name) + 2))
    if not name or area.height < 5:
        return
    place = Area(area.row + 1, area.column, area.height - 1, area.width)
    plot, why = _plot(state, name, choice.plot, place)
    if plot is None:
        sheet.write_in(place, place.height // 2, why, DIM, indent=2)
        return
    _lay(sheet, place, plot.axes, DIM)
    if plot.behind is not None:
        _lay(sheet, place, plot.behind, SECOND)
    _lay(sheet, place, plot.curve, ACCENT)


def _plot(state: State, name: str, kind: str, area: Area) -> tuple[Plot | None, str]:
    """Return the plot, or why there is none."""
    series, band = state.history.series[name], state.bands.get(name)
    size = (area.width, area.height)
    if kind == "distribution":
        return plot_distribution(series.whole().values, *size), "no values yet"
    if kind == "recent":
        return plot_curve(series.recent(), *size), "no values yet"
    if kind == "seeds" and band is None:
        return None, "no other seed of this setting has logged it"
    return plot_curve(series.whole(), *size, band if kind == "seeds" else None), "no values yet"


def _lay(sheet: Sheet, area: Area, layer: Layer, style: str) -> None:
    for line, text in enumerate(layer.lines, start=layer.row):
        for place, character in enumerate(text):
            if character != " ":
                sheet.write_in(area, line, character, style, indent=layer.column + place)


def draw_environment(sheet: Sheet, area: Area, state: State) -> None:
    """Draw environment 0 as it is observed, and the value of each action there."""
    glance = state.glance
    if glance is None:
        sheet.write_in(area, 0, state.glance_reason, DIM)
        return
    moment = f"step {glance.episode_length:,} of an episode, return {short(glance.episode_return)}"
    sheet.write_in(area, 0, moment, DIM)
    picture, values = _parts(Area(area.row + 1, area.column, area.height - 1, area.width), glance)
    for line, pieces in enumerate(glance.picture):
        column = 1
        for text, style in pieces:
            sheet.write_in(picture, line, text, style, indent=column)
            column += len(text)
    _draw_values(sheet, values, glance)


def _parts(area: Area, glance: Glance) -> tuple[Area, Area]:
    """Return where picture and values stand: beside each other where both have room."""
    across = max((sum(len(text) for text, _ in line) for line in glance.picture), default=0)
    beside = across + 3
    if area.width - beside >= _LEAST_VALUES:
        right = Area(area.row, area.column + beside, area.height, area.width - beside)
        return area._replace(width=beside), right
    actions = min(len(glance.q_values), max(area.height // 2, 3), max(area.height - 2, 0))
    room = area.height - actions
    below = Area(area.row + room, area.column, actions, area.width)
    return area._replace(height=room), below


def _draw_values(sheet: Sheet, area: Area, glance: Glance) -> None:
    legal = glance.legal or [True] * len(glance.q_values)
    known = [q for q, may in zip(glance.q_values, legal, strict=True) if may and math.isfinite(q)]
    low, high = min(known, default=0.0), max(known, default=0.0)
    best = glance.q_values.index(high) if known else -1
    first = max(0, min(best - area.height // 2, len(glance.q_values) - area.height))
    for line, action in enumerate(range(first, min(first + area.height, len(legal)))):
        q_value = glance.q_values[action]
        if not legal[action]:
            sheet.write_in(area, line, f"  {action:>3}         -", DIM)
            continue
        share = (q_value - low) / (high - low) if high > low else 1.0
        length = round(share * max(area.width - 20, 0)) if math.isfinite(share) else 0
        text = f"{'▸' if action == best else ' '} {action:>3} {short(q_value):>9}  "
        sheet.write_in(area, line, text, BOLD if action == best else PLAIN)
        sheet.write_in(area, line, "█" * max(length, 1), GOOD if action == best else DIM, len(text))


def draw_log(sheet: Sheet, area: Area, state: State) -> None:
    """Draw the newest lines that were printed; one too long gives up its columns first."""
    narrow = (one if len(one) <= area.width else _SPACES.sub(" ", one) for one in state.log)
    lines = [
        line[start : start + area.width] or ""
        for line in narrow
        for start in range(0, max(len(line), 1), max(area.width, 1))
    ]
    for line, text in enumerate(lines[-area.height :] if area.height else []):
        sheet.write_in(area, line, text)


def draw_bar(sheet: Sheet, area: Area, line: int, name: str, share: float, told: str) -> None:
    """Draw a progress bar."""
    room = area.width - len(name) - len(told) - 8
    if room < 1:
        return
    share = min(max(share, 0.0), 1.0)
    done = int(share * room)
    sheet.write_in(area, line, name, DIM)
    sheet.write_in(area, line, "█" * done, GOOD, indent=len(name) + 1)
    sheet.write_in(area, line, "░" * (room - done), DIM, indent=len(name) + 1 + done)
    sheet.write_in(area, line, f"{share:>5.0%} {told}", PLAIN, indent=len(name) + 1 + room)
