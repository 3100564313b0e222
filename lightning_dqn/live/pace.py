"""How often frames are drawn: as often as is seen, and never for more than a share of the work."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

PERIOD_SECONDS = 0.5
"""Between two frames; a key has one drawn at once."""

LEAST_SECONDS = 0.1
"""Between two frames, however many keys are pressed."""

MOST_SECONDS = 2.0
"""Between two frames, however little the process gets done meanwhile."""

COST_SHARE = 0.01
"""Of the process's processor time, the most that frames take where no key asks for them.

On a busy machine, where little of it passes in a second, there are fewer of them.
"""


class FramePace:
    """Says when the next frame is due."""

    def __init__(self) -> None:
        self._last = -MOST_SECONDS
        self._worked = 0.0
        self._cost = 0.0

    def is_due(self, *, is_asked: bool) -> bool:
        """Return whether a frame is to be drawn now.

        Args:
            is_asked: a key has been pressed.
        """
        seconds = time.monotonic() - self._last
        if is_asked or seconds >= MOST_SECONDS:
            return seconds >= LEAST_SECONDS
        worked = time.process_time() - self._worked
        return seconds >= PERIOD_SECONDS and self._cost <= COST_SHARE * worked

    @contextmanager
    def frame(self) -> Iterator[None]:
        """Measure what drawing a frame costs, in this thread."""
        self._last, began = time.monotonic(), time.thread_time()
        yield
        self._cost = time.thread_time() - began
        self._worked = time.process_time()
