"""A game with a move that isn't on the board: fill two cells or pass; more pieces win.

Two passes in turn end it.
"""

from __future__ import annotations

import gymnasium as gym
import numpy as np

from lightning_dqn.games.game import Game, Outcome

PASS = 2

RULES = """
const isOver = (state) => state[2] === 2 || (state[0] !== 0 && state[1] !== 0);
export default {
  name: "passing", title: "Passing", rows: 1, columns: 2, numActions: 3,
  initial: () => new Int8Array(3),
  legal: (state) => (isOver(state) ? [] : [0, 1, 2].filter((a) => a === 2 || state[a] === 0)),
  apply(state, action) {
    const following = Int8Array.of(-state[0], -state[1], action === 2 ? state[2] + 1 : 0);
    if (action < 2) following[action] = -1;
    return following;
  },
  outcome: (state) => ({
    isOver: isOver(state), score: isOver(state) ? Math.sign(state[0] + state[1]) : 0,
  }),
  encode: (state) => Float32Array.from(state),
  board: (state) => state.slice(0, 2),
  cellOf: (state, action) => action,
  actionAt: (cell) => cell,
  moveName: (action) => (action === 2 ? "pass" : String(action + 1)),
};
"""
"""The same for the page."""


class Passing(Game):
    name = "passing"
    num_actions = 3
    board_shape = (1, 2)
    observation_space = gym.spaces.Box(-1.0, 2.0, (3,))

    def initial_state(self, num_boards: int) -> np.ndarray:
        return np.zeros((num_boards, 3), np.int8)  # two cells, and how often it was passed in turn

    def legal_moves(self, state: np.ndarray) -> np.ndarray:
        legal = np.ones((len(state), 3), bool)
        legal[:, :PASS] = state[:, :PASS] == 0
        return legal & ~self.outcome(state).is_over[:, None]

    def apply(self, state: np.ndarray, action: np.ndarray) -> np.ndarray:
        following = -state
        is_pass = action == PASS
        following[~is_pass, action[~is_pass]] = -1
        following[:, PASS] = np.where(is_pass, state[:, PASS] + 1, 0)
        return following

    def outcome(self, state: np.ndarray) -> Outcome:
        cells = state[:, :PASS]
        is_over = (state[:, PASS] == 2) | (cells != 0).all(axis=1)
        return Outcome(is_over, np.where(is_over, np.sign(cells.sum(axis=1)), 0).astype(np.int8))

    def encode(self, state: np.ndarray) -> np.ndarray:
        return state.astype(np.float32)

    def board(self, state: np.ndarray) -> np.ndarray:
        return state[:, None, :PASS]

    def move_name(self, action: int) -> str:
        return "pass" if action == PASS else str(action + 1)


class Between(Passing):
    """With an argument that must be given."""

    name = "between"

    def __init__(self, cells: int) -> None:
        assert cells == 2
