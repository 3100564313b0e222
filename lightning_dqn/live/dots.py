"""Dots in Braille characters: two columns and four rows of them in each.

Shapes: H lines, W characters.
"""

from __future__ import annotations

_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_EMPTY = 0x2800


class Dots:
    """Dots [4 H, 2 W], counted from the upper left."""

    def __init__(self, width: int, height: int) -> None:
        self.columns, self.rows = 2 * width, 4 * height
        self._cells = [[0] * width for _ in range(height)]

    def set(self, column: int, row: int) -> None:
        """Set a dot; one that lies outside isn't there."""
        if 0 <= column < self.columns and 0 <= row < self.rows:
            self._cells[row // 4][column // 2] |= _BITS[row % 4][column % 2]

    def line(self, start: tuple[int, int], end: tuple[int, int]) -> None:
        """Set the dots from ``start`` to ``end``, each (column, row)."""
        (x, y), (to_x, to_y) = start, end
        steps = max(abs(to_x - x), abs(to_y - y), 1)
        for step in range(steps + 1):
            self.set(x + round((to_x - x) * step / steps), y + round((to_y - y) * step / steps))

    def column(self, column: int, top: int, bottom: int) -> None:
        """Set the dots of a column between two rows, both included."""
        for row in range(max(top, 0), min(bottom, self.rows - 1) + 1):
            self.set(column, row)

    def lines(self) -> list[str]:
        """Return H lines of W characters; a blank where no dot is."""
        return ["".join(chr(_EMPTY + cell) if cell else " " for cell in row) for row in self._cells]
