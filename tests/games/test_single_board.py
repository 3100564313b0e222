"""One board as a plain environment."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from support.scripted_opponent import LowestMove

from lightning_dqn.games.connect_four import ConnectFour
from lightning_dqn.games.environment import BoardGameVectorEnv
from lightning_dqn.games.single_board import BoardGameEnv
from lightning_dqn.games.tictactoe import TicTacToe


def make(**arguments: Any) -> BoardGameEnv:
    return BoardGameEnv(BoardGameVectorEnv(TicTacToe(), 1, **arguments))


def test_a_game_goes_as_on_the_only_board_of_a_vector() -> None:
    arguments = {"opponent": "random", "seat": "random", "rewards": (100.0, -10.0, -100.0)}
    single, vector = make(**arguments), BoardGameVectorEnv(TicTacToe(), 1, **arguments)
    observation, info = single.reset(seed=3)
    expected, expected_info = vector.reset(seed=3)
    ended = 0
    for _ in range(60):
        assert (observation == expected[0]).all()
        assert (info["action_mask"] == expected_info["action_mask"][0]).all()
        assert info["seat"] == expected_info["seat"][0]
        action = int(info["action_mask"].argmax())
        observation, *row, info = single.step(action)
        expected, *expected_row, expected_info = vector.step(np.array([action]))
        assert row == [part[0] for part in expected_row]
        ended += row[1]
    assert ended > 5


def test_what_a_step_returns_has_the_types_of_gymnasium() -> None:
    environment = make(opponent=LowestMove(), seat="first")
    observation, info = environment.reset(seed=0)
    assert environment.observation_space.contains(observation)
    observation, reward, terminated, truncated, info = environment.step(4)
    assert environment.observation_space.contains(observation)
    assert [type(part) for part in (reward, terminated, truncated)] == [float, bool, bool]
    assert info["action_mask"].dtype == np.int8, "as action_space.sample(mask) wants it"
    assert environment.action_space.sample(info["action_mask"]) in (1, 2, 3, 5, 6, 7, 8)
    assert type(info["seat"]) is int


@pytest.mark.parametrize("game", [TicTacToe("index"), ConnectFour()], ids=lambda game: game.name)
def test_a_wrapper_or_a_tool_knows_it_as_an_environment(game: Any) -> None:
    environment = BoardGameEnv(BoardGameVectorEnv(game, 1, render_mode="rgb_array"))
    assert "autoreset_mode" not in environment.metadata
    assert environment.metadata["game"] == game.name
    assert environment.metadata["zero_sum_turns"] is True
    with pytest.MonkeyPatch.context() as patch:
        # The checker samples without the mask: any legal move stands for what it samples.
        step = environment.step
        patch.setattr(
            environment,
            "step",
            lambda action: step(int(environment.boards._info()["action_mask"][0].argmax())),
        )
        check_env(environment, skip_render_check=True, skip_close_check=True)


def test_an_illegal_move_is_refused() -> None:
    environment = make()
    environment.reset(seed=0)
    environment.step(0)
    with pytest.raises(ValueError, match="0 isn't a legal"):
        environment.step(0)


def test_it_shows_its_board() -> None:
    environment = make(render_mode="ansi")
    environment.reset(seed=0)
    environment.step(4)
    assert environment.render() == ". . .\n. X .\n. . ."
    assert make().render() is None
    picture = make(render_mode="rgb_array")
    picture.reset(seed=0)
    assert picture.render().shape == (192, 192, 3)


def test_several_boards_are_no_single_one() -> None:
    with pytest.raises(AssertionError, match="one board"):
        BoardGameEnv(BoardGameVectorEnv(TicTacToe(), 2))
