"""Numbers in as few characters as say enough."""

from __future__ import annotations

import math

_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def short(value: float) -> str:
    """Return a value in at most 9 characters: four digits, or three and a power of ten."""
    if not math.isfinite(value):
        return str(value)
    if float(value).is_integer() and abs(value) < 1e5:
        return str(int(value))
    if 1e-3 <= abs(value) < 1e5:
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"
    return f"{value:.2e}"


def count(value: float) -> str:
    """Return how many there are in at most 6 characters, as ``12.3k``."""
    for size, unit in _UNITS:
        if value >= size:
            return (
                f"{value / size:.3g}{unit}" if value < 999.5 * size else f"{value / size:.0f}{unit}"
            )
    return f"{value:.0f}"


def clock(seconds: float) -> str:
    """Return a time as ``1:02:03``, or ``02:03`` below an hour."""
    minutes, rest = divmod(max(int(seconds), 0), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"
