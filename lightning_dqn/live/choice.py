"""What the user sees and asks for by keys; a pure state that keys move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

PLOTS = ("whole", "recent", "distribution", "seeds")
PANES = ("plot", "environment", "log")

What = Literal["save", "evaluate", "pause", "stop", "stop now", "change"]


class Request(NamedTuple):
    """What the training thread is asked for.

    Attributes:
        what: it is.
        name: of the hyper-parameter that is to change.
        steps: how often, up or down.
    """

    what: What
    name: str = ""
    steps: int = 0


@dataclass(frozen=True)
class Choice:
    """What is shown.

    Attributes:
        metric: whose plot it is; empty: the first.
        plot: which kind.
        pane: the one that has the most room.
        tunable: the hyper-parameter that + and - change; empty: the first.
        asks_to_stop: whether it is asked how to end.
    """

    metric: str = ""
    plot: str = PLOTS[0]
    pane: str = PANES[0]
    tunable: str = ""
    asks_to_stop: bool = False


_REQUESTS: dict[str, What] = {"s": "save", "e": "evaluate", "p": "pause"}
_ENDS: dict[str, What] = {"s": "stop", "n": "stop now"}


def press(
    choice: Choice, key: str, metrics: Sequence[str], tunable: Sequence[str]
) -> tuple[Choice, Request | None]:
    """Return what a key makes of a choice, and what it asks for.

    Args:
        choice: until now.
        key: its name, see :mod:`lightning_dqn.live.keys`.
        metrics: that can be shown.
        tunable: hyper-parameters that can be changed.
    """
    if choice.asks_to_stop:
        end = _ENDS.get(key)
        return replace(choice, asks_to_stop=False), None if end is None else Request(end)
    if key == "q":
        return replace(choice, asks_to_stop=True), None
    if key in _REQUESTS:
        return choice, Request(_REQUESTS[key])
    if key in ("+", "-", "=") and tunable:
        name = choice.tunable if choice.tunable in tunable else tunable[0]
        return choice, Request("change", name, -1 if key == "-" else 1)
    return _moved(choice, key, metrics, tunable), None


def _moved(choice: Choice, key: str, metrics: Sequence[str], tunable: Sequence[str]) -> Choice:
    if key in ("left", "right"):
        return replace(choice, metric=_next(metrics, choice.metric, 1 if key == "right" else -1))
    if key in ("up", "down"):
        return replace(choice, plot=_next(PLOTS, choice.plot, 1 if key == "down" else -1))
    if key in ("tab", "back-tab"):
        return replace(choice, pane=_next(PANES, choice.pane, 1 if key == "tab" else -1))
    if key == "h":
        return replace(choice, tunable=_next(tunable, choice.tunable, 1))
    return choice


def _next(names: Sequence[str], now: str, by: int) -> str:
    if not names:
        return now
    place = names.index(now) if now in names else 0
    return names[(place + by) % len(names)]
