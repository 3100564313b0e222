"""Agents for board games, made in seconds: taught the exact values, holding them, untrained."""

from functools import cache

import numpy as np
import torch

from lightning_dqn import DQN
from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.games.solved.tree import GameTree
from lightning_dqn.games.tictactoe import TicTacToe

TREE = GameTree.of(TicTacToe())


def board_spec(shape: tuple[int, ...], num_actions: int, game: str | None) -> EnvironmentSpec:
    return EnvironmentSpec(
        shape, "float32", num_actions, has_action_mask=True, zero_sum_turns=True, game=game
    )


@cache
def taught_tictactoe() -> DQN:
    """Return a network fitted to the exact values of both players at their best."""
    torch.manual_seed(0)
    module = untrained((9,), 9, "tictactoe", hidden=96)
    q_values = TREE.self_play_values(-0.9)
    observation = torch.as_tensor(TREE.game.encode(TREE.state))
    target = torch.as_tensor(np.nan_to_num(q_values)).float()
    legal = torch.as_tensor(TREE.legal)
    optimizer = torch.optim.Adam(module.q_network.parameters(), 3e-3)
    for _ in range(1200):
        rows = torch.randint(len(TREE), (256,))
        error = (module.q_network(observation[rows]) - target[rows])[legal[rows]]
        optimizer.zero_grad()
        error.square().mean().backward()
        optimizer.step()
    return module.eval()


def untrained(shape: tuple[int, ...], num_actions: int, game: str | None, hidden: int = 16) -> DQN:
    """Return a network with random weights."""
    layers = [{"Linear": hidden}, "ReLU", {"Linear": hidden}, "ReLU"]
    flat = ["Flatten", *layers] if len(shape) > 1 else layers
    return DQN(board_spec(shape, num_actions, game), network=flat, compile=False)


def untrained_connect_four() -> DQN:
    torch.manual_seed(1)
    return untrained((2, 6, 7), 7, "connect_four").eval()


@cache
def perfect_tictactoe() -> DQN:
    """Return a table of the exact values of both players at their best."""
    game = TicTacToe("index")
    spec = EnvironmentSpec((), "int64", 9, num_states=game.num_indices, game="tictactoe")
    module = DQN(spec, network=[{"Table": {"initial_value": 0.0}}], compile=False)
    [weight] = [t for t in module.q_network.parameters() if t.shape == (game.num_indices, 9)]
    values = torch.as_tensor(np.nan_to_num(TREE.self_play_values(-0.9))).float()
    with torch.no_grad():
        weight[torch.as_tensor(game.encode(TREE.state))] = values
    return module.eval()
