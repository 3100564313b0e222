"""Whether a dashboard may be shown: in a real terminal that is large enough."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Mapping

from lightning_dqn.live.screen import LEAST


def why_not(environment: Mapping[str, str]) -> str:
    """Return why standard output is no place for a dashboard; empty where it is.

    Args:
        environment: of the process.
    """
    if sys.platform == "win32" or not os.isatty(1):
        return "standard output is no terminal"
    if environment.get("TERM", "dumb") in ("dumb", ""):
        return "the terminal is a dumb one (TERM)"
    if multiprocessing.parent_process() is not None:
        return "the process is one of several that share a terminal"
    if environment.get("CI"):
        return "this is a CI job (CI is set)"
    if "utf" not in (getattr(sys.stdout, "encoding", None) or "").lower():
        return "standard output isn't in UTF-8"
    from lightning_dqn.live.guard import is_foreground, modes_of

    if not is_foreground(1):
        return "the process runs in the background"
    size = os.get_terminal_size(1)
    if size.columns < LEAST[0] or size.lines < LEAST[1]:
        has = f"{size.columns}x{size.lines}"
        return f"the terminal is {has}, and {LEAST[0]}x{LEAST[1]} is the least"
    return "" if modes_of(1) else "there is no stty, which puts a terminal back"


def has_colour(environment: Mapping[str, str]) -> bool:
    """Return whether colours are wanted, after https://no-color.org.

    Args:
        environment: of the process.
    """
    return not environment.get("NO_COLOR") and "mono" not in environment.get("TERM", "")
