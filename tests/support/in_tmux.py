"""A real terminal for tests: tmux with a server of its own."""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux isn't installed")


class Tmux:
    """One window with a shell.

    Args:
        socket: file of the server.
    """

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    def __call__(self, *arguments: str) -> str:
        """Run a command of tmux; return what it prints."""
        command = ["tmux", "-S", str(self._socket), "-f", "/dev/null", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def type(self, *keys: str) -> None:
        """Send keys, by tmux's names."""
        self("send-keys", "-t", "t", *keys)

    def resize(self, width: int, height: int) -> None:
        """Make the terminal another size."""
        self("resize-window", "-t", "t", "-x", str(width), "-y", str(height))

    def screen(self, *, history: bool = False, colour: bool = False) -> str:
        """Return what the terminal shows, with all that was scrolled out of sight if asked."""
        options = ["-S", "-"] if history else []
        options += ["-e"] if colour else []
        return self("capture-pane", "-p", "-t", "t", *options)

    def wait_for(self, told: str | Callable[[str], object], seconds: float = 90.0) -> str:
        """Return the screen as soon as it holds a text, or a function says so of it."""
        holds = (lambda screen: told in screen) if isinstance(told, str) else told
        until = time.monotonic() + seconds
        while True:
            screen = self.screen(history=True)
            if holds(screen):
                return screen
            assert time.monotonic() < until, screen
            time.sleep(0.1)

    def modes(self) -> str:
        """Return the terminal's modes."""
        terminal = self("display-message", "-p", "-t", "t", "#{pane_tty}").strip()
        told = subprocess.run(["stty", "-F", terminal, "-g"], check=True, capture_output=True)
        return told.stdout.decode()

    def is_on_other_screen(self) -> bool:
        """Tell whether the alternate screen is up."""
        return self("display-message", "-p", "-t", "t", "#{alternate_on}").strip() == "1"

    def shows_cursor(self) -> bool:
        """Tell whether the cursor is shown."""
        return self("display-message", "-p", "-t", "t", "#{cursor_flag}").strip() == "1"


@contextmanager
def tmux(folder: Path, width: int = 120, height: int = 40) -> Iterator[Tmux]:
    """Open a terminal with a shell whose prompt is ``> ``, and end it afterwards.

    Args:
        folder: in which the shell begins.
        width: of the terminal, in characters.
        height: in lines.
    """
    socket = Path("/tmp", f"tmux_{folder.name[-20:]}_{time.monotonic_ns()}")
    terminal = Tmux(socket)
    size = ["-x", str(width), "-y", str(height)]
    setting = "-u CI -u NO_COLOR PS1='> ' LC_ALL=C.UTF-8 HISTFILE="
    shell = f"env {setting} bash --norc --noprofile"
    terminal("new-session", "-d", "-s", "t", *size, "-c", str(folder), shell)
    try:
        terminal.wait_for(">")
        yield terminal
    finally:
        terminal("kill-server")
