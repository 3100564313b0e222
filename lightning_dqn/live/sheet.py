"""A sheet of characters, each with a style, that is drawn on and becomes lines for a terminal."""

from __future__ import annotations

import unicodedata
from typing import NamedTuple

PLAIN, BOLD, DIM, TITLE, GOOD, WARN, ACCENT, SECOND, CHOSEN = (
    "",
    "1",
    "2",
    "1;36",
    "32",
    "33",
    "36",
    "35",
    "7",
)
"""Styles: parameters of the terminal's sequence that selects them."""


class Area(NamedTuple):
    """A rectangle of a sheet."""

    row: int
    column: int
    height: int
    width: int

    def inner(self) -> Area:
        """Return what is left within a frame."""
        return Area(self.row + 1, self.column + 1, max(self.height - 2, 0), max(self.width - 2, 0))


class Sheet:
    """Characters [height, width], blank at first.

    What lies outside isn't drawn. A character that takes no cell or two becomes ``?``, so that
    every line is as wide as the sheet.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._characters = [[" "] * width for _ in range(height)]
        self._styles = [[PLAIN] * width for _ in range(height)]

    def write(
        self, row: int, column: int, text: str, style: str = PLAIN, most: int = 10_000
    ) -> None:
        """Write a line of text, cut after ``most`` characters and at the sheet's edge."""
        if not 0 <= row < self.height or column < 0:
            return
        end = min(column + min(len(text), most), self.width)
        for place, character in zip(range(column, end), text, strict=False):
            self._characters[row][place] = _one_cell(character)
            self._styles[row][place] = style

    def write_in(
        self, area: Area, line: int, text: str, style: str = PLAIN, indent: int = 0
    ) -> None:
        """Write into a line of an area, cut at its edge."""
        if 0 <= line < area.height:
            self.write(area.row + line, area.column + indent, text, style, area.width - indent)

    def clear(self, area: Area) -> None:
        """Blank an area."""
        for line in range(area.height):
            self.write_in(area, line, " " * area.width)

    def frame(self, area: Area, title: str = "", style: str = DIM) -> Area:
        """Draw a frame with a title; return what lies within."""
        if area.height < 2 or area.width < 2:
            return area.inner()
        across = "─" * (area.width - 2)
        self.write_in(area, 0, f"┌{across}┐", style)
        for line in range(1, area.height - 1):
            self.write_in(area, line, "│", style)
            self.write_in(area, line, "│", style, area.width - 1)
        self.write_in(area, area.height - 1, f"└{across}┘", style)
        if title:
            self.write(area.row, area.column + 2, f" {title} ", TITLE, area.width - 4)
        return area.inner()

    def lines(self, *, colour: bool) -> list[str]:
        """Return the lines, each as wide as the sheet.

        Args:
            colour: with the sequences that select styles.
        """
        if not colour:
            return ["".join(row) for row in self._characters]
        rows = zip(self._characters, self._styles, strict=True)
        return [_coloured(characters, styles) for characters, styles in rows]


def _coloured(characters: list[str], styles: list[str]) -> str:
    parts, now = [], PLAIN
    for character, style in zip(characters, styles, strict=True):
        if style != now:
            parts.append(f"\x1b[0;{style}m" if style else "\x1b[0m")
            now = style
        parts.append(character)
    return "".join(parts) + ("\x1b[0m" if now else "")


def _one_cell(character: str) -> str:
    if " " <= character <= "~" or "─" <= character <= "╿" or "⠀" <= character <= "⣿":
        return character
    is_one = character.isprintable() and not unicodedata.combining(character)
    return character if is_one and unicodedata.east_asian_width(character) not in "WF" else "?"
