"""An environment of your own: a class that Gymnasium would take.

``python examples/own_environment.py`` learns to walk a corridor to its right end.
"""

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from pytorch_lightning import Trainer, seed_everything

from lightning_dqn import DQN, CollectionConfig, LinearSchedule, ReplayDataModule
from lightning_dqn.callbacks import EMATargetNetwork

LENGTH = 6


class Corridor(gym.Env[np.ndarray, np.int64]):
    """Go left or right; each step costs 1, and the right end is the goal."""

    def __init__(self) -> None:
        self.observation_space = gym.spaces.Box(0.0, 1.0, (1,), np.float32)
        self.action_space = gym.spaces.Discrete(2)
        self.place = self.time = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin somewhere left of the goal."""
        super().reset(seed=seed)
        self.place, self.time = int(self.np_random.integers(LENGTH)), 0
        return self.observation(), {}

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Go left (0) or right (1)."""
        self.place = max(0, self.place + (1 if action == 1 else -1))
        self.time += 1
        return self.observation(), -1.0, self.place == LENGTH, self.time == 20, {}

    def observation(self) -> np.ndarray:
        """Return the place as a share of the way, float32[1]."""
        return np.array([self.place / LENGTH], np.float32)


def main() -> None:
    """Learn, and print what is done in each place."""
    torch.set_num_threads(1)  # the fastest for networks as small as this
    seed_everything(0, verbose=False)
    module = DQN(Corridor, network=[{"Linear": 32}, "ReLU"])
    data = ReplayDataModule(
        Corridor,
        env_steps_per_iteration=32,
        env_steps_per_epoch=4_000,
        collection=CollectionConfig(
            warmup_env_steps=500, epsilon=LinearSchedule(start=1.0, end=0.1, duration=3_000)
        ),
    )
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[EMATargetNetwork(tau=0.02)],
    )
    trainer.fit(module, data)
    places = np.linspace(0, 1, LENGTH, endpoint=False, dtype=np.float32)[:, None]
    print("actions from left to right:", *module.agent.act(places))


if __name__ == "__main__":
    main()
