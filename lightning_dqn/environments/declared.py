"""What one environment gives, refused where it isn't as declared, before an array takes it.

An array takes a number, or one row, for all its places, and casts what is of another type: what
is wrong would become something else in silence. What is raised here is the end of
``environment 3 ...``, for who knows which one it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np

from lightning_dqn.environments.exact import as_type, zeros_and_ones
from lightning_dqn.system.faults import RunFault

STEP = ("observation", "reward", "terminated", "truncated", "info")
RESET = ("observation", "info")


class WrongGiven(RunFault, ValueError):
    """An environment gave what isn't as declared."""


class DeclaredObservation:
    """Takes the observations of a space.

    Args:
        space: of one environment.

    Attributes:
        shape: of its observations; None where they are no arrays, and taken as they are.
    """

    def __init__(self, space: gym.Space) -> None:
        self.shape = expected_shape(space)
        self.dtype = space.dtype

    def take(self, given: Any, steps: int) -> Any:
        """Return an observation as an array of the declared type.

        Args:
            given: by the environment.
            steps: that were taken so far, to be told.

        Raises:
            WrongGiven: it has another shape, or a value that the type doesn't hold.
        """
        shape, dtype = self.shape, self.dtype
        if shape is None or (
            type(given) is np.ndarray and given.dtype == dtype and given.shape == shape
        ):
            return given
        values = _array("an observation", given)
        if values.shape != shape:
            raise WrongGiven(about_shape(values, shape, steps))
        try:
            return as_type("observation", values, np.dtype(dtype), giver="one")
        except ValueError as error:
            raise WrongGiven(f"{error}; mend the environment") from None


def parts(given: Any, names: tuple[str, ...]) -> Any:
    """Return what a step or a reset gave, of as many parts as it has to have.

    Raises:
        WrongGiven: it has others.
    """
    if type(given) is tuple and len(given) == len(names) and type(given[-1]) is dict:
        return given  # the usual, looked at quickly
    if not isinstance(given, tuple | list) or len(given) != len(names):
        what = f"{len(given)} values" if isinstance(given, tuple | list) else type(given).__name__
        call = "step" if names is STEP else "reset"
        raise WrongGiven(f"gave {what} in a {call}: expected {len(names)}, {', '.join(names)}")
    if not isinstance(given[-1], Mapping):
        raise WrongGiven(f"gave info {given[-1]!r}: expected a dict")
    return given


def as_reward(given: Any) -> Any:
    """Return a reward, which is a number.

    Raises:
        WrongGiven: it is none.
    """
    if isinstance(given, _FLOATS):
        return given
    values = _array("a reward", given)
    if values.shape or values.dtype.kind not in "biuf":
        raise WrongGiven(f"gave reward {given!r}: expected one number")
    return values[()]


def as_end(name: str, given: Any) -> bool:
    """Return whether an episode has ended, told by 0 or 1 of any type.

    Args:
        name: ``terminated`` or ``truncated``.
        given: by the environment.

    Raises:
        WrongGiven: it is something else.
    """
    if given is True or given is False:
        return given  # the usual
    values = _array(name, given)
    if values.shape or values.dtype.kind not in "biuf":
        raise WrongGiven(f"gave {name} {given!r}: expected 0 or 1")
    try:
        return bool(zeros_and_ones(name, values, giver="one"))
    except ValueError as error:
        raise WrongGiven(str(error)) from None


_FLOATS = (float, np.floating)


def _array(name: str, given: Any) -> np.ndarray:
    try:
        return np.asarray(given)
    except ValueError as error:  # of parts that differ
        raise WrongGiven(f"gave {name} that is no array: {error}") from None


def expected_shape(space: gym.Space) -> tuple[int, ...] | None:
    """Return the shape of a space's observations; None where they are no arrays."""
    simple = gym.spaces.Box | gym.spaces.Discrete | gym.spaces.MultiBinary
    return space.shape if isinstance(space, simple) else None


def about_shape(observation: Any, expected: tuple[int, ...], steps: int) -> str:
    """Return what is wrong with an observation, as the end of ``environment 3 ...``."""
    return (
        f"gave an observation of the shape {np.shape(observation)} at step {steps}: expected "
        f"{expected}, as its observation_space declares; mend the environment"
    )
