"""From the bytes that a terminal sends to the names of keys."""

from __future__ import annotations

_SEQUENCES = {
    b"\x1b[A": "up",
    b"\x1b[B": "down",
    b"\x1b[C": "right",
    b"\x1b[D": "left",
    b"\x1bOA": "up",
    b"\x1bOB": "down",
    b"\x1bOC": "right",
    b"\x1bOD": "left",
    b"\x1b[Z": "back-tab",
}
_SINGLE = {b"\t": "tab", b"\x1b": "escape", b"\r": "enter", b"\n": "enter", b"\x0c": "redraw"}


class Keys:
    """Takes bytes as they come, also in the midst of a sequence."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """Return the keys that are complete by now, in the order they were pressed.

        Args:
            data: the newest bytes; none, where for a while nothing came: then an escape that was
                open is the key of that name.
        """
        waiting, found = self._rest + data, []
        self._rest = b""
        while waiting:
            if waiting[0] == 0x1B:
                length = _length(waiting)
                if length is None and data:
                    self._rest = waiting
                    break
                sequence, waiting = waiting[: length or 1], waiting[length or 1 :]
                name = _SEQUENCES.get(sequence) or _SINGLE.get(sequence, "")
            else:
                one, waiting = waiting[:1], waiting[1:]
                name = _SINGLE.get(one) or (one.decode() if b" " <= one <= b"~" else "")
            if name:
                found.append(name)
        return found


def _length(data: bytes) -> int | None:
    """Return how long the sequence is with which ``data`` begins; None: it isn't all there."""
    if len(data) < 2:
        return None
    if data[1:2] == b"O":
        return 3 if len(data) >= 3 else None
    if data[1:2] != b"[":
        return 1
    for place in range(2, len(data)):
        if 0x40 <= data[place] <= 0x7E:
            return place + 1
    return None
