"""An environment by chance of the process that it is in."""

from __future__ import annotations

import random
from typing import Any

import gymnasium as gym
import numpy as np


class SharedChance(gym.Wrapper):
    """Adds to rewards what the generators draw that all of a process share."""

    def step(self, action: Any) -> Any:
        observation, reward, *ends = self.env.step(action)
        chance = random.random() + np.random.random()  # noqa: NPY002 (as others' environments do)
        return observation, float(reward) + 0.01 * chance, *ends
