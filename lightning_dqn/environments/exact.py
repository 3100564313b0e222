"""Numbers taken in any type that says the same; a cast that would change one is refused.

Shapes: E environments.
"""

from __future__ import annotations

from typing import Literal

import gymnasium as gym
import numpy as np

from lightning_dqn.environments.spec import EnvironmentSpec

Giver = Literal["environments", "one", "caller"]
"""Who gave numbers: E environments, [E, ...]; one, [...], and who knows which says so before; or
somebody who calls a method, in any shape."""

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
        "Discrete from 0; take a wrapper, as wrappers=[gymnasium.wrappers.FlattenObservation]"
    )


def exact(
    values: np.ndarray, spec: EnvironmentSpec, *, giver: Giver = "environments"
) -> np.ndarray:
    """Return observations whose cast to the declared type changes no value.

    float64 may be rounded to float32, as all that learns here does; nothing else may change.

    Args:
        values: [..., *shape], of any type.
        spec: says what is stored.
        giver: of them.

    Raises:
        ValueError: a value would become another, or is no state of those that there are.
    """
    if spec.num_states is not None:
        return _states(values, spec.num_states, giver)
    return as_type("observation", values, np.dtype(spec.observation_dtype), giver=giver)


def as_type(
    name: str, values: np.ndarray, declared: np.dtype, *, giver: Giver = "environments"
) -> np.ndarray:
    """Return numbers in another type that says the same; floats alone may be rounded.

    Args:
        name: of what they are.
        values: [E, ...] of any type.
        declared: the type.
        giver: of them.

    Raises:
        ValueError: a value would become another.
    """
    if values.dtype == declared:
        return values
    if values.dtype.kind not in "biuf":
        begin = f"gave {name}" if giver == "one" else f"{name} is"
        raise ValueError(f"{begin} of the type {values.dtype}, not numbers")
    if declared.kind == "b":
        return zeros_and_ones(name, values, giver=giver)
    wrong, wanted = (_unfit_floats if declared.kind == "f" else _unfit_integers)(values, declared)
    refuse_where(name, values, wrong, wanted, giver=giver)
    return values.astype(declared)


def zeros_and_ones(name: str, values: np.ndarray, *, giver: Giver = "environments") -> np.ndarray:
    """Return as bool what is told by 0 and 1 of any type.

    Raises:
        ValueError: naming another value and where it stands.
    """
    if values.dtype == bool:
        return values
    if values.dtype.kind not in "biuf":
        raise ValueError(f"{name} is of the type {values.dtype}, not of 0 and 1")
    refuse_where(name, values, ~((values == 0) | (values == 1)), "0 or 1", giver=giver)
    return values.astype(bool)


def _states(values: np.ndarray, num_states: int, giver: Giver) -> np.ndarray:
    if values.dtype.kind not in "iuf":
        raise ValueError(f"observation is of the type {values.dtype}, not the number of a state")
    wrong = ~((values >= 0) & (values < num_states))
    if values.dtype.kind == "f":
        wrong |= values != np.floor(values)
    refuse_where("observation", values, wrong, f"a state from 0 to {num_states - 1}", giver=giver)
    return values.astype(np.int64, copy=False)


def _unfit_integers(values: np.ndarray, declared: np.dtype) -> tuple[np.ndarray, str]:
    limits = np.iinfo(declared)
    wrong = ~((values >= limits.min) & (values <= limits.max))
    if values.dtype.kind == "f":
        wrong |= values != np.floor(values)
    return wrong, f"a whole number from {limits.min} to {limits.max}, as {declared} is stored"


def _unfit_floats(values: np.ndarray, declared: np.dtype) -> tuple[np.ndarray, str]:
    about = np.finfo(declared)
    if values.dtype.kind in "iu":
        exact_to = 2 ** (about.nmant + 1)  # whole numbers up to it are different numbers
        too_large = np.abs(values.astype(np.float64)) > exact_to
        return (
            too_large,
            f"a whole number up to {exact_to:,} in size, as {declared} tells them apart",
        )
    return beyond(values, float(about.max)), f"a number that {declared} holds"


def beyond(values: np.ndarray, largest: float = LARGEST_FLOAT32) -> np.ndarray:
    """Tell which finite numbers a float type would make infinite; what isn't finite is told later.

    Args:
        values: of any shape.
        largest: that the type holds; float32's.
    """
    # As float64: a narrower type might not hold what is compared with.
    return np.isfinite(values) & (np.abs(values) > np.float64(largest))


def refuse_where(
    name: str, values: np.ndarray, wrong: np.ndarray, wanted: str, *, giver: Giver = "environments"
) -> None:
    """Refuse values where one of them is wrong.

    Args:
        name: of what they are.
        values: [E, ...] or [].
        wrong: bool, of the same shape.
        wanted: what would be right.
        giver: of them.

    Raises:
        ValueError: naming the first and where it stands.
    """
    if not wrong.any():
        return
    place = np.argwhere(wrong)[0]
    where = "gave " if giver == "one" else ""
    if giver == "environments" and len(place):
        where = f"environment {place[0]} gave "
    raise ValueError(f"{where}{name} {values[tuple(place)]}: expected {wanted}")
