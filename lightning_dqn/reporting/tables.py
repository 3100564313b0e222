"""Numbers and rows as the texts of tables, for people and for programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any


def interval_text(value: float, interval: Sequence[float] | None, form: str) -> str:
    """Return a value, and its interval where it has one, as ``500.0 [498.1, 500.0]``.

    Args:
        value: a statistic.
        interval: its lower and its upper end; None: it has none.
        form: how each number is written, as ``.1f``.
    """
    text = format(value, form)
    if interval is None:
        return text
    low, high = interval
    return f"{text} [{low:{form}}, {high:{form}}]"


def duration(seconds: float) -> str:
    """Return a time in the unit that says most of it: ``31 s``, ``12 min``, ``3.4 h``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6_000 else f"{seconds / 3_600:.1f} h"


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, the first row its head, that also reads well as plain text."""
    # A rule of a single colon would be no table's.
    widths = [max(2, *map(len, column)) for column in zip(*rows, strict=True)]
    rule = [("-" * (width - 1) + ":") if i else "-" * width for i, width in enumerate(widths)]
    lines = [
        [
            cell.rjust(w) if i else cell.ljust(w)
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        for row in [rows[0], rule, *rows[1:]]
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def table_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as the lines of a CSV file, with a column for each key that any of them has."""
    lines = io.StringIO(newline="")
    writer = csv.DictWriter(lines, list(dict.fromkeys(key for row in rows for key in row)))
    writer.writeheader()
    writer.writerows(rows)
    return lines.getvalue().replace("\r\n", "\n")
