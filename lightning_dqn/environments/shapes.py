"""Observations of another shape than was declared, refused before an array takes them.

An array takes a number, or one row, for all its places: what is wrong would be broadcast into it
in silence.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import SyncVectorEnv

from lightning_dqn.system.faults import RunFault


class WrongShape(RunFault, ValueError):
    """An observation has another shape than its space."""


class ShapedVectorEnv(SyncVectorEnv):
    """Environments stepped in turn, whose observations have the shape that they declare.

    Raises:
        WrongShape: in a reset or a step, naming the environment.
    """

    _steps = 0

    def reset(self, **kwargs: Any) -> Any:
        """Return the first observations and infos."""
        try:
            given = super().reset(**kwargs)
        except ValueError:
            self._check_shapes()
            raise
        self._check_shapes()
        return given

    def step(self, actions: Any) -> Any:
        """Return what the steps gave."""
        self._steps += 1
        try:
            given = super().step(actions)
        except ValueError:
            self._check_shapes()
            raise
        self._check_shapes()
        return given

    def _check_shapes(self) -> None:
        shape = expected_shape(self.single_observation_space)
        if shape is None:
            return
        for index, observation in enumerate(self._env_obs):
            # Those that weren't reached yet hold none.
            if observation is not None and np.shape(observation) != shape:
                raise WrongShape(
                    f"environment {index} {about_shape(observation, shape, self._steps)}"
                )


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
