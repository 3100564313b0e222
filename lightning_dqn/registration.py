"""The environments of this package, known to gymnasium under ``lightning_dqn/``."""

from __future__ import annotations

import gymnasium as gym

NAMESPACE = "lightning_dqn/"
PETTINGZOO = "pettingzoo/"

_GAMES = "lightning_dqn.games.entry_points"

VECTOR_ENTRY_POINTS = {
    "lightning_dqn/BoardGame-v0": f"{_GAMES}:board_game",
    "lightning_dqn/ConnectFour-v0": f"{_GAMES}:connect_four",
    "lightning_dqn/Gambler-v0": "lightning_dqn.tabular_environments:GamblerVectorEnv",
    "lightning_dqn/TicTacToe-v0": f"{_GAMES}:tictactoe",
    "lightning_dqn/Torus-v0": "lightning_dqn.tabular_environments:TorusVectorEnv",
}
"""Id -> where its vector environment is."""

ENTRY_POINTS = {
    "lightning_dqn/BoardGame-v0": f"{_GAMES}:single_board_game",
    "lightning_dqn/ConnectFour-v0": f"{_GAMES}:single_connect_four",
    "lightning_dqn/TicTacToe-v0": f"{_GAMES}:single_tictactoe",
}
"""Id -> where its single environment is, for those that have one."""


def register_environments() -> None:
    """Register what isn't registered yet; importing an environment waits until it is made."""
    for id, entry_point in VECTOR_ENTRY_POINTS.items():
        if id not in gym.registry:
            gym.register(id, ENTRY_POINTS.get(id), vector_entry_point=entry_point)


def register_pettingzoo(id: str) -> None:
    """Register a turn game of PettingZoo, as ``pettingzoo/tictactoe_v3``, for self-play."""
    if id not in gym.registry:
        adapter = "lightning_dqn.games.pettingzoo_adapter:PettingZooVectorEnv"
        gym.register(id, vector_entry_point=adapter, kwargs={"game": id})
