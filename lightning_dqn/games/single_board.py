"""One board as a plain ``gymnasium.Env``, for wrappers and tools that know nothing of vectors."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from lightning_dqn.games.environment import BoardGameVectorEnv


class BoardGameEnv(gym.Env):
    """The only board of a vector environment.

    Args:
        boards: a vector environment of one board.
    """

    def __init__(self, boards: BoardGameVectorEnv) -> None:
        assert boards.num_envs == 1, "one board, not a vector of them"
        self.boards = boards
        self.metadata = {k: v for k, v in boards.metadata.items() if k != "autoreset_mode"}
        self.render_mode = boards.render_mode
        self.observation_space = boards.single_observation_space
        self.action_space = boards.single_action_space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin a new game."""
        super().reset(seed=seed)
        observation, info = self.boards.reset(seed=seed)
        return observation[0], _first(info)

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Make a move, and the opponent's after it.

        Raises:
            ValueError: the move isn't legal.
        """
        observation, reward, terminated, truncated, info = self.boards.step(np.array([action]))
        ended = bool(terminated[0]), bool(truncated[0])
        return observation[0], float(reward[0]), *ended, _first(info)

    def render(self) -> Any:
        """Return the board as text, or as an image uint8[H, W, 3]."""
        pictures = self.boards.render()
        return None if pictures is None else pictures[0]


def _first(info: dict[str, Any]) -> dict[str, Any]:
    return {"action_mask": info["action_mask"][0].astype(np.int8), "seat": int(info["seat"][0])}
