"""An environment by its id that can't be drawn; importing this registers it."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
from gymnasium.envs.classic_control import CartPoleEnv


class Undrawn(CartPoleEnv):
    """CartPole without a picture."""

    metadata = {"render_modes": [], "render_fps": 50}  # noqa: RUF012

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)


if "Undrawn-v0" not in gym.registry:
    gym.register("Undrawn-v0", Undrawn, max_episode_steps=20)
