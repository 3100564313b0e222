"""The newest frames of each environment, for acting."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from lightning_dqn.system.numbers import whole_number


class FrameStack:
    """Keeps the S newest frames of E environments, oldest first.

    At the start of an episode, or of a life where learning ends with one, the stack is filled with
    its first frame. With S = 1 observations pass through untouched.
    """

    def __init__(self, num_frames: int) -> None:
        self.num_frames = whole_number("num_frames", num_frames, least=1)
        self._stack: np.ndarray | None = None

    def newest(self, observation: np.ndarray) -> np.ndarray:
        """Return the stack as it is, or ``observation`` where S = 1."""
        return observation if self._stack is None else self._stack

    def state_dict(self) -> dict[str, Any]:
        """Return the frames, None where there are none yet."""
        stack = self._stack
        return {"stack": None if stack is None else torch.as_tensor(stack.copy())}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take them back."""
        stack = state["stack"]
        self._stack = None if stack is None else stack.numpy().copy()

    def push(self, observation: np.ndarray, is_first: np.ndarray | None = None) -> np.ndarray:
        """Add the newest frame and return the stack.

        Args:
            observation: [E, *shape].
            is_first: bool[E], whose frame starts an episode or a life; None means all.

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
