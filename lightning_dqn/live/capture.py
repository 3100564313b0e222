"""What is printed while a dashboard is up goes to a file, and to the terminal afterwards.

By file descriptors, so that libraries in C, other processes and ``os.write`` are kept too.
"""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import suppress

_MOST_BYTES = 65_536
"""Read at once of what was printed."""

_KEPT_LINES = 200


class Capture:
    """Keeps what goes to the terminal by standard output and error, from :meth:`start` on.

    What of the two goes elsewhere, as to a file, is left there.
    """

    def __init__(self) -> None:
        self._writing, path = tempfile.mkstemp(prefix="lightning_dqn_printed_")
        self._reading = os.open(path, os.O_RDONLY)  # with a place of its own, whoever reads it
        os.unlink(path)
        self._saved: dict[int, int] = {}
        self._read_until = 0
        self._lines: list[str] = []
        self._open_line = b""

    @property
    def file_descriptor(self) -> int:
        """Of the file, to read what it holds."""
        return self._reading

    def start(self) -> None:
        """Keep from now on."""
        _flush()
        for number in (1, 2):
            with suppress(OSError):
                if os.isatty(number):
                    self._saved[number] = os.dup(number)
                    os.dup2(self._writing, number)

    def stop(self) -> None:
        """Give the terminal back, and print on it all that was kept."""
        _flush()
        for number, saved in self._saved.items():
            os.dup2(saved, number)
            os.close(saved)
        is_ours, self._saved = bool(self._saved), {}
        if is_ours:
            with suppress(OSError):
                self._replay()
        os.close(self._writing)
        os.close(self._reading)

    def newest_lines(self) -> list[str]:
        """Return the newest lines, without the sequences of a terminal."""
        while data := os.pread(self.file_descriptor, _MOST_BYTES, self._read_until):
            self._read_until += len(data)
            *whole, line = (self._open_line + data).split(b"\n")
            self._open_line = line[line.rstrip(b"\r").rfind(b"\r") + 1 :]  # a bar's never ends
            self._lines += [_as_text(line) for line in whole]
            self._lines = self._lines[-_KEPT_LINES:]
        return [*self._lines, _as_text(self._open_line)] if self._open_line else self._lines

    def _replay(self) -> None:
        place = 0
        while data := os.pread(self.file_descriptor, _MOST_BYTES, place):
            place += len(data)
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(1 if os.isatty(1) else 2, rest) :]


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()


def _as_text(line: bytes) -> str:
    """Return a line's last state: what stands behind its last carriage return."""
    text = line.rstrip(b"\r").rpartition(b"\r")[2].decode(errors="replace")
    return "".join(c for c in text.expandtabs() if c.isprintable())
