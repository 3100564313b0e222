"""Environment variables that are set for a while."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def given_back(*names: str) -> Iterator[None]:
    """Give variables back after the block the values that they had, or had not, before it.

    Args:
        names: of those that the block, or what it calls, may set or take away.
    """
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
