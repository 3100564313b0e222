"""The board games as gymnasium makes them."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import pytest
from support.nim_game import Nim

from lightning_dqn.environments.families import register_environments
from lightning_dqn.games import entry_points
from lightning_dqn.games.environment import BoardGameVectorEnv
from lightning_dqn.games.single_board import BoardGameEnv

GAMES: dict[str, tuple[dict[str, Any], str, tuple[int, ...]]] = {
    "TicTacToe": ({}, "tictactoe", (9,)),
    "ConnectFour": ({}, "connect_four", (2, 6, 7)),
    "BoardGame": ({"game": Nim()}, "nim", (1,)),
}
"""Id -> arguments, the game's name and the shape of an observation."""


@pytest.fixture(autouse=True)
def _known_ids() -> None:
    register_environments()


@pytest.mark.parametrize("name", GAMES)
def test_make_vec_makes_boards(name: str) -> None:
    arguments, game, shape = GAMES[name]
    environment = gym.make_vec(f"lightning_dqn/{name}-v0", 3, opponent="random", **arguments)
    assert isinstance(environment.unwrapped, BoardGameVectorEnv)
    assert environment.num_envs == 3
    assert environment.metadata["game"] == game
    assert environment.metadata["zero_sum_turns"] is False
    observation, _ = environment.reset(seed=0)
    assert observation.shape == (3, *shape)


@pytest.mark.parametrize("name", GAMES)
def test_make_makes_one_board(name: str) -> None:
    arguments, game, shape = GAMES[name]
    environment = gym.make(
        f"lightning_dqn/{name}-v0", seat="second", opponent="random", **arguments
    )
    assert isinstance(environment.unwrapped, BoardGameEnv)
    assert environment.unwrapped.metadata["game"] == game
    observation, info = environment.reset(seed=0)
    assert observation.shape == shape
    assert info["seat"] == 1


@pytest.mark.parametrize("make", [entry_points.tictactoe, entry_points.single_tictactoe])
def test_the_encoding_is_chosen_by_name(make: Any) -> None:
    arguments = {"num_envs": 2} if make is entry_points.tictactoe else {}
    environment = make(**arguments, encoding="planes")
    space = getattr(environment, "single_observation_space", environment.observation_space)
    assert space.shape == (18,)


@pytest.mark.parametrize("make", [entry_points.board_game, entry_points.single_board_game])
def test_what_is_no_game_is_refused_with_how_to_name_one(make: Any) -> None:
    arguments = {"num_envs": 2} if make is entry_points.board_game else {}
    with pytest.raises(
        ValueError, match=r"game='hex': expected a .*Game; .*kwargs\.game\._target_="
    ):
        make(**arguments, game="hex")
