"""The terminal while a dashboard is up: another screen, single keys, output that never waits."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from lightning_dqn.live.guard import LEAVE, is_foreground

if sys.platform != "win32":
    import fcntl
    import termios

_ENTER = "\x1b[?1049h\x1b[?25l\x1b[2J"
_SECONDS_TO_LEAVE = 2.0
"""How long the last of the output may take where it is slow."""


class Terminal:
    """Opens the terminal anew, so that nobody else's reading and writing is changed by it.

    Args:
        path: of the terminal, as ``/dev/pts/3``.

    Raises:
        OSError: it can't be opened, or another dashboard has it.
    """

    def __init__(self, path: str) -> None:
        self._number = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            fcntl.flock(self._number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._number)
            raise
        self._modes: list[Any] = termios.tcgetattr(self._number)
        self._waiting = b""
        self._shown: list[str] = []
        self._is_up = False

    def fileno(self) -> int:
        """Return the file descriptor, which keys are read from."""
        return self._number

    @property
    def is_ours(self) -> bool:
        """Whether keys may be read and frames shown: the dashboard is up and in the foreground."""
        return self._is_up and is_foreground(self._number)

    @property
    def may_enter(self) -> bool:
        """Whether this process is in the foreground."""
        return is_foreground(self._number)

    @property
    def is_ready(self) -> bool:
        """Whether the last frame has gone out, so that another one may."""
        return not self._waiting

    def size(self) -> tuple[int, int]:
        """Return columns and lines at this moment."""
        size = os.get_terminal_size(self._number)
        return size.columns, size.lines

    def enter(self) -> None:
        """Go to the other screen, and take keys one by one without showing them.

        Keys that send signals go on doing so.
        """
        modes = termios.tcgetattr(self._number)
        modes[3] &= ~(termios.ICANON | termios.ECHO)
        modes[6] = [*modes[6]]
        modes[6][termios.VMIN], modes[6][termios.VTIME] = 1, 0
        termios.tcsetattr(self._number, termios.TCSANOW, modes)
        self._is_up = True
        self._shown = []
        self._waiting += _ENTER.encode()
        self.flush()

    def leave(self) -> None:
        """Put all back as it was; may be called repeatedly."""
        if not self._is_up:
            return
        self._is_up = False
        # What of a frame is still waiting may end in the midst of a sequence: it isn't sent.
        self._waiting = b"\x1b\\" + LEAVE.encode() if self._waiting else LEAVE.encode()
        until = time.monotonic() + _SECONDS_TO_LEAVE
        while self._waiting and time.monotonic() < until:
            with suppress(OSError):
                select.select([], [self._number], [], 0.05)
            self.flush()
        if is_foreground(self._number):  # else its shell has set modes of its own
            with suppress(termios.error):
                termios.tcsetattr(self._number, termios.TCSANOW, self._modes)

    def close(self) -> None:
        """Leave, and close the file."""
        self.leave()
        with suppress(OSError):
            os.close(self._number)

    def show(self, lines: Sequence[str]) -> None:
        """Send the lines that differ from those shown, if the last ones have gone out.

        Args:
            lines: all of the screen.
        """
        if self._waiting:
            return
        if len(lines) != len(self._shown):
            self._shown = [""] * len(lines)
            self._waiting = b"\x1b[0m\x1b[2J"
        pairs = zip(lines, self._shown, strict=True)
        changed = [f"\x1b[{row};1H{new}" for row, (new, old) in enumerate(pairs, 1) if new != old]
        self._shown = list(lines)
        self._waiting += "".join(changed).encode()
        self.flush()

    def forget(self) -> None:
        """Draw all of the next frame: something else has written here."""
        self._shown = []

    def flush(self) -> None:
        """Send what the terminal takes at this moment, and never wait."""
        while self._waiting:
            try:
                sent = os.write(self._number, self._waiting[:4096])
            except BlockingIOError:
                return
            except OSError:  # it has been closed
                self._waiting = b""
                return
            self._waiting = self._waiting[sent:]

    def read(self) -> bytes:
        """Return what was typed since the last call; nothing where nothing was."""
        try:
            return os.read(self._number, 1024)
        except (BlockingIOError, OSError):
            return b""
