"""Image environments whose answer is known.

Shapes: H height, W width.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

SIDE = 6


class CueThenChoice(gym.Env[Any, Any]):
    """Shows a cue, hides it, and rewards the action that it named: the picture alone says nothing.

    An episode has two steps. The picture of the first is dark on the left or on the right half, of
    the second all gray; the second action is right if it is the side of the dark half.

    Args:
        costs_life: the first step costs a life, so that the stack of the second must not know.
    """

    action_space = gym.spaces.Discrete(2)
    observation_space = gym.spaces.Box(0, 255, (SIDE, SIDE), np.uint8)

    def __init__(self, costs_life: bool = False) -> None:
        self.costs_life = costs_life

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.side = int(self.np_random.integers(2))
        picture = np.full((SIDE, SIDE), 200, np.uint8)
        half = slice(0, SIDE // 2) if self.side == 0 else slice(SIDE // 2, SIDE)
        picture[:, half] = 0
        self.has_begun = False
        return picture, {"life_lost": False}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        gray = np.full((SIDE, SIDE), 100, np.uint8)
        if not self.has_begun:
            self.has_begun = True
            return gray, 0.0, False, False, {"life_lost": self.costs_life}
        return gray, float(int(action) == self.side), True, False, {"life_lost": False}


class LifeShades(gym.Env[Any, Any]):
    """Pictures of one shade for a life, another one for the next: 5 steps an episode, 2 lives.

    Args:
        first: shade of the first episode.
    """

    action_space = gym.spaces.Discrete(2)
    observation_space = gym.spaces.Box(0, 255, (SIDE, SIDE), np.uint8)

    def __init__(self, first: int = 0) -> None:
        self.shade = first

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.shade = (self.shade + 1) % 256
        self.time = 0
        return self._picture(), {"life_lost": False}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.time += 1
        life_lost = self.time == 2
        self.shade = (self.shade + life_lost) % 256
        return self._picture(), 1.0, self.time == 5, False, {"life_lost": life_lost}

    def _picture(self) -> np.ndarray:
        return np.full((SIDE, SIDE), self.shade, np.uint8)


class RewardAfterLife(gym.Env[Any, Any]):
    """Loses a life in its first step and is paid 9 in its second: what is the first worth?

    Nothing, where learning ends with a life; else the discount times 9, or 1 where it is clipped.

    Args:
        tells_lives: gives ``info["life_lost"]``.
    """

    action_space = gym.spaces.Discrete(2)
    observation_space = gym.spaces.Box(0, 255, (SIDE, SIDE), np.uint8)

    def __init__(self, tells_lives: bool) -> None:
        self.tells_lives = tells_lives

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.time = 0
        return self.picture(0), self._info()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.time += 1
        is_over = self.time == 2
        return self.picture(self.time), 9.0 * is_over, is_over, False, self._info()

    def _info(self) -> dict[str, Any]:
        return {"life_lost": self.time == 1} if self.tells_lives else {}

    @staticmethod
    def picture(time: int) -> np.ndarray:
        """Return the picture after so many steps: a lit row for each."""
        picture = np.zeros((SIDE, SIDE), np.uint8)
        picture[: time + 1] = 255
        return picture
