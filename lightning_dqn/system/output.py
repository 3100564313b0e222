"""Output that nobody reads any more: what writes it goes on."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

_GONE = {errno.EPIPE, errno.EIO}
"""What writing fails with where a pipe's reader has ended, and where a terminal was closed."""


class _Lasting(io.FileIO):
    """Writes to a descriptor, and to nowhere once its reader is gone."""

    def write(self, data: object) -> int:
        """Return how many bytes are done with."""
        try:
            return super().write(data)  # type: ignore[arg-type]
        except OSError as error:
            if error.errno not in _GONE:
                raise
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())  # for others who write there, too
            os.close(nowhere)
            return super().write(data)  # type: ignore[arg-type]


@contextmanager
def lasting_output() -> Iterator[None]:
    """Let a run outlive who reads its output: ``| head`` ends, a terminal is closed.

    What it prints stands in its log as well. Streams that are no files, as a notebook's, stay.
    """
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(_lasting, before)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        sys.stdout, sys.stderr = before


def _lasting(stream: TextIO) -> TextIO:
    if os.name == "nt":  # a console there takes no bytes
        return stream
    try:
        stream.flush()
        file = _Lasting(stream.fileno(), "w", closefd=False)
        return io.TextIOWrapper(
            io.BufferedWriter(file),
            encoding=stream.encoding,
            errors=stream.errors,
            line_buffering=True,
        )
    except (AttributeError, OSError, ValueError):
        return stream
