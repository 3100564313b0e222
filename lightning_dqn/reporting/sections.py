"""Where each metric stands on a dashboard: sections, made of the glossary's keys."""

from __future__ import annotations

import re
from collections.abc import Iterable

X_AXIS = "time/env_steps"
"""Of all curves, so that it is none itself."""

_BEGINNINGS = {
    "learning": ("eval/episode", "rollout/", "train/", "network/", "eval/", "test/", "videos/"),
    "values": ("values/", "train/q_value", "train/td_error"),
    "exploration": ("exploration/", "rollout/epsilon"),
    "replay": ("replay/",),
    "speed": (
        "time/",
        "train/updates",
        "rollout/actors",
        "rollout/rows_ahead",
        "rollout/policy_age",
        "rollout/updates_per_env_step",
    ),
    "system": ("system/", "checkpoint/", "rollout/worker_restarts"),
}
"""Section -> how its keys begin, in the order in which they stand there."""

_PLACE = {
    beginning: (section, place)
    for section, beginnings in _BEGINNINGS.items()
    for place, beginning in enumerate(beginnings)
}
_OPEN = re.compile(r"<\w+>")


def sections(keys: Iterable[str]) -> dict[str, list[str]]:
    """Return the keys by section; each stands in one, but for the x-axis.

    Of several beginnings that fit a key the longest counts. A family that none fits has a section
    of its own behind the others.
    """
    found: dict[str, list[tuple[int, str]]] = {name: [] for name in _BEGINNINGS}
    for key in keys:
        if key != X_AXIS:
            fitting = [one for one in _PLACE if key.startswith(one)]
            section, place = _PLACE[max(fitting, key=len)] if fitting else (key.split("/")[0], 0)
            found.setdefault(section, []).append((place, key))
    in_order = {name: sorted(placed, key=lambda one: one[0]) for name, placed in found.items()}
    return {name: [key for _, key in placed] for name, placed in in_order.items() if placed}


def pattern_of(key: str) -> str | None:
    """Return which keys one of the glossary stands for, as a regular expression.

    None: for itself alone. ``<opponent>``, ``<layer>`` and the like stand for a name without ``/``.
    """
    if not _OPEN.search(key):
        return None
    return f"^{'[^/]+'.join(re.escape(part) for part in _OPEN.split(key))}$"
