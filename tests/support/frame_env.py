"""Frames as Atari's are, of an environment whose rewards follow from what it shows."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

NUM_ACTIONS = 18
SIDE = 84
EPISODE_LENGTH = 40


class FrameEnv(gym.Env[np.ndarray, np.int64]):
    """A bright column on a dark 84x84 image; the action of its number earns 1."""

    observation_space = gym.spaces.Box(0, 255, (SIDE, SIDE), np.uint8)
    action_space = gym.spaces.Discrete(NUM_ACTIONS)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self._steps = 0
        return self._show(), {}

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        reward = float(action == self._column)
        self._steps += 1
        return self._show(), reward, self._steps == EPISODE_LENGTH, False, {}

    def _show(self) -> np.ndarray:
        self._column = int(self.np_random.integers(NUM_ACTIONS))
        image = np.zeros((SIDE, SIDE), np.uint8)
        image[:, 4 * self._column : 4 * self._column + 4] = 200
        return image


gym.register("Frames-v0", entry_point=FrameEnv)
