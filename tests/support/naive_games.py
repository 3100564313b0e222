"""Tic-tac-toe and Connect Four as one would write them on paper: lists, loops, no arrays."""

from __future__ import annotations

Line = list[tuple[int, int]]


class NaiveBoard:
    """A board of rows x columns on which ``length`` in a row win; players are 1 and -1."""

    def __init__(self, rows: int, columns: int, length: int, *, falls: bool) -> None:
        self.rows, self.columns, self.length, self.falls = rows, columns, length, falls
        self.cells = [[0] * columns for _ in range(rows)]
        self.mover = 1
        self.all_lines = self.lines()

    def legal(self) -> list[int]:
        if self.winner() != 0:
            return []
        if self.falls:
            return [column for column in range(self.columns) if self.cells[0][column] == 0]
        cells = [(row, column) for row in range(self.rows) for column in range(self.columns)]
        return [number for number, (r, c) in enumerate(cells) if self.cells[r][c] == 0]

    def play(self, action: int) -> None:
        row, column = self.target(action)
        self.cells[row][column] = self.mover
        self.mover = -self.mover

    def target(self, action: int) -> tuple[int, int]:
        if not self.falls:
            return divmod(action, self.columns)
        empty = [row for row in range(self.rows) if self.cells[row][action] == 0]
        return max(empty), action

    def winner(self) -> int:
        for line in self.all_lines:
            owners = {self.cells[row][column] for row, column in line}
            if len(owners) == 1 and owners != {0}:
                return owners.pop()
        return 0

    def is_over(self) -> bool:
        return self.winner() != 0 or all(cell != 0 for row in self.cells for cell in row)

    def lines(self) -> list[Line]:
        found = []
        for row in range(self.rows):
            for column in range(self.columns):
                for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
                    line = [(row + down * i, column + right * i) for i in range(self.length)]
                    if all(0 <= r < self.rows and 0 <= c < self.columns for r, c in line):
                        found.append(line)
        return found


def naive_tictactoe() -> NaiveBoard:
    return NaiveBoard(3, 3, 3, falls=False)


def naive_connect_four() -> NaiveBoard:
    return NaiveBoard(6, 7, 4, falls=True)
