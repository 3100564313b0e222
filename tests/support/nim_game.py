"""A game as a user writes it: take one or two of four; who takes the last one wins."""

from __future__ import annotations

import gymnasium as gym
import numpy as np

from lightning_dqn.games.game import Game, Outcome


class Nim(Game):
    name = "nim"
    num_actions = 2
    board_shape = (1, 4)
    observation_space = gym.spaces.Box(0.0, 4.0, (1,))

    def initial_state(self, num_boards: int) -> np.ndarray:
        return np.full((num_boards, 1), 4)

    def legal_moves(self, state: np.ndarray) -> np.ndarray:
        return state >= np.array([1, 2])

    def apply(self, state: np.ndarray, action: np.ndarray) -> np.ndarray:
        return state - action[:, None] - 1

    def outcome(self, state: np.ndarray) -> Outcome:
        is_over = state[:, 0] == 0
        return Outcome(is_over, np.where(is_over, -1, 0).astype(np.int8))

    def encode(self, state: np.ndarray) -> np.ndarray:
        return state.astype(np.float32)

    def board(self, state: np.ndarray) -> np.ndarray:
        return (np.arange(4) < state).astype(np.int8)[:, None]

    def move_name(self, action: int) -> str:
        return ["one", "two"][action]
