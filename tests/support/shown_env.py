"""Environments that show what they do: every frame tells its time step."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf

from lightning_dqn.agent import Agent
from lightning_dqn.environments.factory import EnvironmentFactory

HEIGHT, WIDTH = 256, 300


def color(time: int) -> tuple[int, int, int]:
    """Return the colour that a frame has all over."""
    return 20 * time, 100, 250 - 20 * time


class ShownEnv(gym.Env[Any, Any]):
    """Plays 3 to 8 steps; how many, and the rewards, follow from the seed, and from actions."""

    metadata = {"render_modes": ["ansi", "rgb_array"], "render_fps": 5}  # noqa: RUF012

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self.action_space = gym.spaces.Discrete(2)
        self.observation_space = gym.spaces.Box(-10, 10, (2,), np.float32)
        self.time = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.length = int(self.np_random.integers(3, 9))
        self.time = 0
        return self._observation(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.time += 1
        reward = float(self.np_random.integers(100)) + 0.5 * int(action)
        return self._observation(), reward, self.time == self.length, False, {}

    def render(self) -> Any:
        if self.render_mode == "ansi":
            return f"at {self.time}\n"
        return np.full((HEIGHT, WIDTH, 3), color(self.time), np.uint8)

    def _observation(self) -> np.ndarray:
        return np.array([self.time, self.length], np.float32)


class UnrepeatableEnv(ShownEnv):
    """Pays more with every episode, whatever the seed."""

    episodes = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        UnrepeatableEnv.episodes += 1
        return super().reset(seed=seed)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        observation, reward, *rest = super().step(action)
        return observation, reward + 1000 * self.episodes, *rest  # type: ignore[return-value]


class UndrawnEnv(ShownEnv):
    """Can't be drawn, for what draws isn't installed."""

    def render(self) -> Any:
        raise gym.error.DependencyNotInstalled(
            "pygame is not installed, run `pip install gymnasium[classic_control]`"
        )


class FakeRun:
    """A finished run of a random agent in an environment, without files."""

    def __init__(self, environment: Any, **kwargs: Any) -> None:
        self._factory = EnvironmentFactory(environment, **kwargs)

    def config(self) -> DictConfig:
        """Return a configuration that says nothing of a test."""
        return OmegaConf.create({})

    def env_steps(self) -> int:
        """Return how long it was trained."""
        return 700

    def environment(self) -> EnvironmentFactory:
        """Return the environments."""
        return self._factory

    def agent_for(self, factory: EnvironmentFactory) -> Agent:
        """Return the agent."""
        torch.manual_seed(0)
        return Agent(factory, network=[{"Linear": 4}, "ReLU"]).eval()
