"""The space that an environment declares for its observations, and those that lie outside."""

from __future__ import annotations

import warnings

import gymnasium as gym
import numpy as np


class Bounds:
    """Says once that observations lie outside the space that was declared for them.

    Args:
        space: of one observation.
    """

    def __init__(self, space: gym.Space) -> None:
        self._limits: tuple[np.ndarray, np.ndarray] | None = None
        if not isinstance(space, gym.spaces.Box) or space.dtype.kind not in "iuf":
            return
        low, high = space.low, space.high
        if space.dtype.kind == "f":
            # A simulator may round otherwise than its bounds are rounded.
            slack = 1e-5 * np.maximum(1.0, np.nan_to_num(np.abs([low, high])))
            says_something = np.isfinite(low).any() or np.isfinite(high).any()
        else:
            slack = np.zeros((2, 1))
            limits = np.iinfo(space.dtype)
            says_something = (low > limits.min).any() or (high < limits.max).any()
        if says_something:
            self._limits = low - slack[0], high + slack[1]

    def look(self, observation: np.ndarray) -> None:
        """Look at observations, [..., *shape], until there is something to say."""
        if self._limits is None:
            return
        low, high = self._limits
        outside = (observation < low) | (observation > high)
        if outside.any():
            self._limits = None
            value = observation[outside][0]
            text = (
                f"an observation holds {value}, outside the space that the environment declares; "
                "if that is meant, declare wider bounds"
            )
            warnings.warn(text, UserWarning, stacklevel=2)
