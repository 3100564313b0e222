"""Frames of Atari's size without a game: what a benchmark learns from where there is none."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

SIDE = 84
NUM_ACTIONS = 6
EPISODE_STEPS = 500
NUM_FRAMES = 64


class SyntheticFrames(gym.Env[np.ndarray, np.int64]):
    """Shows frames of noise in turn; action 0 earns 1."""

    observation_space = gym.spaces.Box(0, 255, (SIDE, SIDE), np.uint8)
    action_space = gym.spaces.Discrete(NUM_ACTIONS)

    def __init__(self) -> None:
        """Draw the frames."""
        drawn = np.random.default_rng(0).integers(0, 256, (NUM_FRAMES, SIDE, SIDE))
        self._frames = drawn.astype(np.uint8)
        self._steps = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode."""
        super().reset(seed=seed)
        self._steps = 0
        return self._frames[0], {}

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Show the next frame."""
        self._steps += 1
        frame = self._frames[self._steps % NUM_FRAMES]
        return frame, float(action == 0), self._steps == EPISODE_STEPS, False, {}


gym.register("SyntheticFrames-v0", entry_point=SyntheticFrames)
