"""The whole screen of a dashboard: which pane stands where, in any size that has room.

A pure function of what is known, what was chosen and the size.
"""

from __future__ import annotations

from lightning_dqn.live.choice import Choice
from lightning_dqn.live.numbers import count
from lightning_dqn.live.panes import (
    columns,
    draw_bar,
    draw_environment,
    draw_log,
    draw_metrics,
    draw_plot,
    draw_status,
    draw_tunable,
    row_of,
)
from lightning_dqn.live.sheet import BOLD, PLAIN, WARN, Area, Sheet
from lightning_dqn.live.state import State

LEAST = (80, 24)
"""Columns and lines of the smallest terminal that has room."""

_HELP = "←→ metric  ↑↓ plot  tab pane  s save  e evaluate  p pause  h +/- change  q quit"
_STATUS_LINES = 9
_MOST_CHANGES = 5
_LEAST_LOG = 5
"""Lines of its pane, frame included."""
_STOP = (
    "Stop the run?",
    "",
    "s  stop: save, end where nothing is lost",
    "n  stop now: end at once, save nothing",
    "any other key: go on",
)


def draw(state: State, choice: Choice, width: int, height: int, *, colour: bool) -> list[str]:
    """Return the screen as ``height`` lines of ``width`` cells.

    Args:
        state: of the run.
        choice: what of it is shown.
        width: in characters.
        height: in lines.
        colour: with the sequences that select colours.
    """
    sheet = Sheet(width, height)
    if width < LEAST[0] or height < LEAST[1]:
        sheet.write(0, 0, f"{width}x{height}: too small", WARN)
        sheet.write(1, 0, f"at least {LEAST[0]}x{LEAST[1]}")
        return sheet.lines(colour=colour)
    bottom = height - 4
    left = max(44, width * 36 // 100)
    _draw_left(sheet, Area(0, 0, bottom, left), state, choice)
    _draw_right(sheet, Area(0, left, bottom, width - left), state, choice)
    _draw_progress(sheet, Area(bottom, 0, 4, width), state)
    if choice.asks_to_stop:
        _draw_question(sheet)
    return sheet.lines(colour=colour)


def table(state: State, width: int) -> list[str]:
    """Return all metrics with last, mean and best, for whoever scrolls back."""
    names = state.history.names()
    room = min(width, max((len(name) for name in names), default=0) + 28)
    return [columns(room, "metric", "last", "mean", "best")] + [
        row_of(state, name, room).rstrip() for name in names
    ]


def _draw_left(sheet: Sheet, area: Area, state: State, choice: Choice) -> None:
    tall = area.height >= 30
    status = _STATUS_LINES + 2
    lines = len(state.tunable) + min(len(state.changed), _MOST_CHANGES)
    tunable = lines + 2 if state.tunable and tall else 0
    metrics = area.height - status - tunable
    draw_status(sheet, sheet.frame(Area(0, 0, status, area.width), "status"), state)
    place = Area(status, 0, metrics, area.width)
    draw_metrics(sheet, sheet.frame(place, "metrics"), state, choice)
    if tunable:
        place = Area(status + metrics, 0, tunable, area.width)
        draw_tunable(sheet, sheet.frame(place, "hyper-parameters"), state, choice)


def _draw_right(sheet: Sheet, area: Area, state: State, choice: Choice) -> None:
    """Give the chosen pane the most room; where there is little, all of it."""
    tall = area.height >= 30
    heights = _heights(area.height, state) if tall else {}
    heights = {pane: lines for pane, lines in heights.items() if pane != choice.pane}
    row = area.row
    for pane in (choice.pane, *heights):
        height = heights.get(pane, area.height - sum(heights.values()))
        place = Area(row, area.column, height, area.width)
        row += height
        title = "environment 0" if pane == "environment" else pane
        inner = sheet.frame(place, f"▸ {title}" if pane == choice.pane else title)
        if pane == "plot":
            draw_plot(sheet, inner, state, choice)
        elif pane == "environment":
            draw_environment(sheet, inner, state)
        else:
            draw_log(sheet, inner, state)


def _heights(height: int, state: State) -> dict[str, int]:
    """Return how many lines panes have that aren't chosen; a picture has those of the log."""
    each = min(height // 4, 14)
    picture = 0 if state.glance is None else len(state.glance.picture)
    environment = min(max(picture + 3, each), 2 * each - _LEAST_LOG)
    return {"plot": each, "environment": environment, "log": 2 * each - environment}


def _draw_progress(sheet: Sheet, area: Area, state: State) -> None:
    done, total = state.epoch_env_steps
    draw_bar(sheet, area, 0, "epoch", done / max(total, 1), f"{count(done)}/{count(total)}")
    whole = state.total_env_steps
    progress = f"{count(state.env_steps)}/{'∞' if whole is None else count(whole)}"
    draw_bar(sheet, area, 1, "run  ", state.env_steps / whole if whole else 0.0, progress)
    small = "" if sheet.height - 4 >= 30 else _tunable_text(state)
    sheet.write_in(area, 2, state.message or small, WARN if state.message else PLAIN)
    sheet.write_in(area, 3, _HELP, BOLD)


def _tunable_text(state: State) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in state.tunable.items())


def _draw_question(sheet: Sheet) -> None:
    width, height = 46, len(_STOP) + 2
    area = Area((sheet.height - height) // 2, (sheet.width - width) // 2, height, width)
    sheet.clear(area)
    inner = sheet.frame(area, "quit", WARN)
    for line, text in enumerate(_STOP):
        sheet.write_in(inner, line, text, BOLD if line == 0 else PLAIN, indent=1)
