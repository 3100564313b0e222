"""Start and end faster: no garbage collection of what is there to stay."""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected(*, freeze: bool = False) -> Iterator[None]:
    """Switch the garbage collector off for a while, as when importing or compiling.

    Importing torch and Lightning makes a million objects that live as long as the process; the
    collector would walk them again and again in vain, for a quarter of the time.

    Args:
        freeze: afterwards leave alone what exists by then, and when the process ends all that
            does by then, which takes it a quarter of a second less.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if freeze:
            gc.freeze()
            atexit.unregister(gc.freeze)
            atexit.register(gc.freeze)
        if was_enabled:
            gc.enable()
