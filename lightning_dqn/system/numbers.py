"""Plain numbers of whatever users give: NumPy's are taken everywhere and never kept.

A checkpoint holds plain values alone, so that it loads without running code.
"""

from __future__ import annotations

import dataclasses
import operator
from typing import Any

import numpy as np


def whole_number(name: str, value: Any, *, least: int = 0) -> int:
    """Return a whole number as a plain int.

    Args:
        name: of the argument, for the message.
        value: an int or another type of whole number, as NumPy's.
        least: the smallest that will do.

    Raises:
        ValueError: it isn't one, or below ``least``.
    """
    if isinstance(value, bool | np.bool_) or not hasattr(value, "__index__"):
        raise ValueError(f"{name}={value!r}: expected a whole number from {least}")
    number = operator.index(value)
    if number < least:
        raise ValueError(f"{name}={number}: at least {least}")
    return number


def keep_plain(settings: Any) -> None:
    """Turn NumPy's numbers in the fields of a dataclass, a frozen one too, into plain ones."""
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if isinstance(value, np.generic):
            object.__setattr__(settings, field.name, value.item())
