"""Start faster: no garbage collection while what is made is there to stay."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected(*, freeze: bool = False) -> Iterator[None]:
    """Switch the garbage collector off for a while, as when importing or compiling.

    Importing torch and Lightning makes a million objects that live as long as the process; the
    collector would walk them again and again in vain, for a quarter of the time.

    Args:
        freeze: afterwards leave alone what exists by then, also when the process ends.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if freeze:
            gc.freeze()
        if was_enabled:
            gc.enable()
