"""What single environments tell in ``info``, as that of a vector environment.

As gymnasium does it, ``key`` holds an array with a place for each environment and ``_key`` tells
who gave something, but the array's type is never that of the first value alone: into it others
would be cast, or not fit, which ends a run for what nobody may read.
Shapes: E environments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def gathered(infos: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what all environments tell.

    Values of one type and shape make an array [E, ...] of it, with zeros where none was given;
    dicts make a dict of such arrays; all else is kept as objects [E], None where none was given.

    Args:
        infos: of each environment.
    """
    if not any(infos):
        return {}
    return _gathered(dict(enumerate(infos)), len(infos))


def _gathered(infos: Mapping[int, Mapping[str, Any]], num_envs: int) -> dict[str, Any]:
    given: dict[str, dict[int, Any]] = {}
    for index, info in infos.items():
        for key, value in info.items():
            given.setdefault(key, {})[index] = value
    told: dict[str, Any] = {}
    for key, values in given.items():
        is_there = np.zeros(num_envs, bool)
        is_there[list(values)] = True
        told[key], told[f"_{key}"] = _as_one(values, num_envs), is_there
    return told


def _as_one(values: Mapping[int, Any], num_envs: int) -> Any:
    kinds = {_kind(value) for value in values.values()}
    if kinds == {dict}:
        return _gathered(values, num_envs)
    [kind, *others] = kinds
    if others or kind is None:
        array = np.full(num_envs, None, object)
        for index, value in values.items():
            array[index] = value
        return array
    dtype, shape = kind
    array = np.zeros((num_envs, *shape), dtype)
    array[list(values)] = list(values.values())
    return array


def _kind(value: Any) -> Any:
    """Return type and shape of the array that takes a value; dict; None: one of objects alone."""
    if isinstance(value, dict):
        return dict
    if isinstance(value, np.ndarray):
        return value.dtype, value.shape
    if isinstance(value, np.number) or type(value) in (float, bool):
        return np.dtype(type(value)), ()
    is_int64 = type(value) is int and -(2**63) <= value < 2**63
    return (np.dtype(int), ()) if is_int64 else None
