"""The newest frames of each environment, for acting."""

from __future__ import annotations

import numpy as np


class FrameStack:
    """Keeps the S newest frames of E environments, oldest first.

    At an episode's start the stack is filled with its first frame. With S = 1 observations
    pass through untouched.
    """

    def __init__(self, num_frames: int) -> None:
        self.num_frames = num_frames
        self._stack: np.ndarray | None = None

    def push(self, observation: np.ndarray, is_first: np.ndarray | None = None) -> np.ndarray:
        """Add the newest frame and return the stack.

        Args:
            observation: [E, *shape].
            is_first: bool[E], whose frame starts an episode; None means all.

        Returns:
            [E, S, *shape] that later calls don't change, or ``observation`` where S = 1.
        """
        if self.num_frames == 1:
            return observation
        frame = observation[:, None]
        if self._stack is None or is_first is None:
            self._stack = np.repeat(frame, self.num_frames, axis=1)
            return self._stack
        self._stack = np.concatenate([self._stack[:, 1:], frame], axis=1)
        if is_first.any():
            self._stack[is_first] = np.repeat(frame[is_first], self.num_frames, axis=1)
        return self._stack
