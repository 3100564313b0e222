"""A board game of your own, learned by self-play.

``python examples/own_game.py`` learns Nim, whose best moves are known: leave a multiple of four.
"""

import gymnasium as gym
import numpy as np
import torch
from pytorch_lightning import Trainer

from lightning_dqn import (
    DQN,
    CollectionConfig,
    ConstantSchedule,
    EnvironmentFactory,
    ReplayConfig,
    ReplayDataModule,
)
from lightning_dqn.callbacks import EMATargetNetwork
from lightning_dqn.games.game import Game, Outcome


class Nim(Game):
    """Take one, two or three of twelve; who takes the last one wins."""

    name = "nim"
    num_actions = 3
    board_shape = (1, 12)
    observation_space = gym.spaces.Discrete(13)

    def initial_state(self, num_boards: int) -> np.ndarray:
        """Return twelve on each board."""
        return np.full(num_boards, 12)

    def legal_moves(self, state: np.ndarray) -> np.ndarray:
        """Nobody takes more than there are."""
        return state[:, None] >= np.array([1, 2, 3])

    def apply(self, state: np.ndarray, action: np.ndarray) -> np.ndarray:
        """Return what is left to the other player."""
        return state - (action + 1)

    def outcome(self, state: np.ndarray) -> Outcome:
        """Who finds nothing left has lost."""
        return Outcome(is_over=state == 0, score=np.where(state == 0, -1, 0))

    def encode(self, state: np.ndarray) -> np.ndarray:
        """The number left is all there is to see."""
        return state

    def board(self, state: np.ndarray) -> np.ndarray:
        """Return a piece for each that is left."""
        return (np.arange(12) < state[:, None]).astype(np.int8)[:, None]


def main() -> None:
    """Play both sides, learn from both, and print the best move from each number."""
    torch.set_num_threads(1)  # the fastest for networks as small as this
    games = EnvironmentFactory("lightning_dqn/BoardGame-v0", num_envs=64, kwargs={"game": Nim()})
    data = ReplayDataModule(
        games,
        env_steps_per_iteration=256,
        env_steps_per_epoch=20_000,
        replay=ReplayConfig(gamma=-0.9),  # what follows a move is the other's board
        collection=CollectionConfig(warmup_env_steps=1_000, epsilon=ConstantSchedule(1.0)),
    )
    module = DQN(games, network=[{"Linear": 64}, "ReLU"])
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        callbacks=[EMATargetNetwork(tau=0.02)],
    )
    trainer.fit(module, data)
    left = np.array([n for n in range(1, 13) if n % 4])
    for number, action in zip(left, module.agent.act(left, Nim().legal_moves(left)), strict=True):
        print(f"of {number} take {action + 1}, which leaves {number - action - 1}")


if __name__ == "__main__":
    main()
