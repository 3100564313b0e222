"""Plain numbers of whatever users give: NumPy's are taken everywhere and never kept.

A checkpoint holds plain values alone, so that it loads without running code.
"""

from __future__ import annotations

import dataclasses
import math
import operator
from typing import Any

import numpy as np


def whole_number(name: str, value: Any, *, least: int = 0) -> int:
    """Return a whole number as a plain int.

    Args:
        name: of the argument, for the message.
        value: an int, another type of whole number, as NumPy's, or a float that is one, as 1e6.
        least: the smallest that will do.

    Raises:
        ValueError: it isn't one, or below ``least``.
    """
    if isinstance(value, float | np.floating) and value.is_integer():
        value = int(value)
    if isinstance(value, bool | np.bool_) or not hasattr(value, "__index__"):
        raise ValueError(f"{name}={value!r}: expected a whole number from {least}")
    number = operator.index(value)
    if number < least:
        raise ValueError(f"{name}={number}: at least {least}")
    return number


def keep_whole(settings: Any, **least: int) -> None:
    """Turn fields of a dataclass, a frozen one too, into plain ints.

    Args:
        settings: the dataclass.
        least: the smallest that will do, of each field by its name.

    Raises:
        ValueError: see :func:`whole_number`.
    """
    for name, smallest in least.items():
        value = whole_number(name, getattr(settings, name), least=smallest)
        object.__setattr__(settings, name, value)


def finite_number(name: str, value: Any) -> float:
    """Return a finite number as a plain int or float.

    Args:
        name: of the argument, for the message.
        value: an int or a float, or NumPy's.

    Raises:
        ValueError: it isn't one.
    """
    number = value.item() if isinstance(value, np.generic) else value
    if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
        raise ValueError(f"{name}={value!r}: expected a finite number")
    return number


def keep_plain(settings: Any) -> None:
    """Turn NumPy's numbers in the fields of a dataclass, a frozen one too, into plain ones."""
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if isinstance(value, np.generic):
            object.__setattr__(settings, field.name, value.item())


def keep_switches(settings: Any, *names: str) -> None:
    """Refuse fields of a dataclass that are to be true or false and are something else, as text.

    Raises:
        ValueError: naming the field.
    """
    for name in names:
        value = getattr(settings, name)
        if isinstance(value, np.bool_):
            object.__setattr__(settings, name, bool(value))
        elif not isinstance(value, bool):
            raise ValueError(f"{name}={value!r}: expected True or False")


def check_finite(settings: Any, *names: str) -> None:
    """Refuse fields of a dataclass that aren't finite numbers.

    Raises:
        ValueError: naming the field.
    """
    for name in names:
        finite_number(name, getattr(settings, name))
