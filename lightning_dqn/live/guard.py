"""Leaves the terminal as it was, also where the process is ended that nothing in it can act.

A shell waits for the process's end. It is told where the process has put the terminal back itself;
where it isn't, as after SIGKILL, it does that and shows what was printed meanwhile.
"""

from __future__ import annotations

import os
import shutil
import subprocess

LEAVE = "\x1b[0m\x1b[?25h\x1b[?1049l"
"""Ends styles, shows the cursor, and goes back to the screen that was."""

_SCRIPT = r"""
trap '' HUP INT QUIT TERM TSTP TTIN TTOU
ours=$(stty -g <&2 2>/dev/null)
echo ready
read -r told
if [ "$told" != done ]; then
    if [ "$(stty -g <&2 2>/dev/null)" = "$ours" ]; then stty "$1" <&2 2>/dev/null; fi
    printf '\033[0m\033[?25h\033[?1049l' >&2
    cat "$2" >&2
fi
"""


class Guard:
    """A shell that stands beside the process, from now until :meth:`dismiss`.

    Args:
        terminal: its path; it is in the modes of the dashboard by now.
        modes: what ``stty -g`` told of the terminal as it was.
        printed: a file descriptor of what is printed meanwhile.
    """

    def __init__(self, terminal: str, modes: str, printed: int) -> None:
        number = os.open(terminal, os.O_RDWR | os.O_NOCTTY)
        try:
            # In a session of its own no key, no job control and no end of a group reaches it.
            self._shell = subprocess.Popen(
                ["sh", "-c", _SCRIPT, "sh", modes, f"/dev/fd/{printed}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=number,
                pass_fds=(printed,),
                start_new_session=True,
            )
        finally:
            os.close(number)
        assert self._shell.stdout is not None
        self._shell.stdout.readline()  # it has read our modes, and hears no signal any more
        self._shell.stdout.close()

    def dismiss(self) -> None:
        """Let it do nothing and end."""
        try:
            self._shell.communicate(b"done\n", timeout=5)
        except (OSError, ValueError, subprocess.TimeoutExpired):
            self._shell.kill()
            self._shell.wait()


def modes_of(terminal: int) -> str | None:
    """Return the terminal's modes as ``stty`` takes them back; None where there is no ``stty``."""
    if shutil.which("sh") is None or shutil.which("stty") is None:
        return None
    answer = subprocess.run(["stty", "-g"], stdin=terminal, capture_output=True, check=False)
    return answer.stdout.decode().strip() or None


def is_foreground(terminal: int) -> bool:
    """Return whether this process may read the terminal: it isn't in its shell's background."""
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
