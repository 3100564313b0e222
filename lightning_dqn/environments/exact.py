"""Numbers taken in any type that says the same; a cast that would change one is refused.

Shapes: E environments.
"""

from __future__ import annotations

import gymnasium as gym
import numpy as np

from lightning_dqn.environments.spec import EnvironmentSpec

EXACT_IN_FLOAT32 = 2**24
"""Whole numbers up to this size are different numbers in float32."""

LARGEST_FLOAT32 = float(np.finfo(np.float32).max)


def describe_observation(space: gym.Space, name: str) -> tuple[tuple[int, ...], str, int | None]:
    """Return shape, type as stored, and the number of discrete states, if it is one.

    Raises:
        ValueError: networks have no use for such a space.
    """
    if isinstance(space, gym.spaces.Discrete) and space.start == 0:
        return (), "int64", int(space.n)
    if isinstance(space, gym.spaces.Box):
        if space.dtype == np.uint8 or space.dtype == np.bool_:
            return space.shape, str(space.dtype), None
        return space.shape, "float32", None
    if isinstance(space, gym.spaces.MultiBinary):
        return space.shape, "bool", None
    raise ValueError(
        f"id={name}: its observation space is {space}, but a network needs Box, MultiBinary or "
        "Discrete from 0; name a wrapper such as gymnasium.wrappers.FlattenObservation"
    )


def exact(values: np.ndarray, spec: EnvironmentSpec) -> np.ndarray:
    """Return observations whose cast to the declared type changes no value.

    float64 may be rounded to float32, as all that learns here does; nothing else may change.

    Args:
        values: [..., *shape], of any type.
        spec: says what is stored.

    Raises:
        ValueError: a value would become another, or is no state of those that there are.
    """
    declared = np.dtype(spec.observation_dtype)
    if spec.num_states is not None:
        return _states(values, spec.num_states)
    if values.dtype == declared:
        return values
    if values.dtype.kind not in "biuf":
        raise ValueError(f"observation is of the type {values.dtype}, not numbers")
    if declared.kind == "b":
        return zeros_and_ones("observation", values)
    if declared.kind == "f":
        return _floats(values, declared)
    limits = np.iinfo(declared)
    wrong = ~((values >= limits.min) & (values <= limits.max))
    if values.dtype.kind == "f":
        wrong |= values != np.floor(values)
    wanted = f"a whole number from {limits.min} to {limits.max}, as {declared} is stored"
    refuse_where("observation", values, wrong, wanted)
    return values.astype(declared)


def zeros_and_ones(name: str, values: np.ndarray) -> np.ndarray:
    """Return as bool what is told by 0 and 1 of any type.

    Raises:
        ValueError: naming another value and where it stands.
    """
    if values.dtype == bool:
        return values
    if values.dtype.kind not in "biuf":
        raise ValueError(f"{name} is of the type {values.dtype}, not of 0 and 1")
    refuse_where(name, values, ~((values == 0) | (values == 1)), "0 or 1")
    return values.astype(bool)


def _states(values: np.ndarray, num_states: int) -> np.ndarray:
    if values.dtype.kind not in "iuf":
        raise ValueError(f"observation is of the type {values.dtype}, not the number of a state")
    wrong = ~((values >= 0) & (values < num_states))
    if values.dtype.kind == "f":
        wrong |= values != np.floor(values)
    refuse_where("observation", values, wrong, f"a state from 0 to {num_states - 1}")
    return values.astype(np.int64, copy=False)


def _floats(values: np.ndarray, declared: np.dtype) -> np.ndarray:
    if values.dtype.kind in "iu":
        too_large = np.abs(values.astype(np.float64)) > EXACT_IN_FLOAT32
        wanted = f"a whole number up to {EXACT_IN_FLOAT32:,} in size, as float32 tells them apart"
        refuse_where("observation", values, too_large, wanted)
    elif values.dtype == np.float64:
        wanted = "a number that float32 holds"
        refuse_where("observation", values, beyond_float32(values), wanted)
    return values.astype(declared)


def beyond_float32(values: np.ndarray) -> np.ndarray:
    """Tell which finite numbers float32 would make infinite; what isn't finite is told later."""
    return np.isfinite(values) & (np.abs(values) > LARGEST_FLOAT32)


def refuse_where(name: str, values: np.ndarray, wrong: np.ndarray, wanted: str) -> None:
    """Refuse values where one of them is wrong.

    Args:
        name: of what they are.
        values: [E, ...] or [].
        wrong: bool, of the same shape.
        wanted: what would be right.

    Raises:
        ValueError: naming the first and where it stands.
    """
    if not wrong.any():
        return
    place = np.argwhere(wrong)[0]
    where = f"environment {place[0]} gave " if len(place) else ""
    raise ValueError(f"{where}{name} {values[tuple(place)]}: expected {wanted}")
