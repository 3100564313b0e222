"""Which game an agent plays, and with which encoding of the board."""

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from support.board_agents import board_spec
from support.nim_game import Nim

from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.games.connect_four import ConnectFour
from lightning_dqn.games.play.playable import playable_game
from lightning_dqn.games.tictactoe import TicTacToe


@pytest.mark.parametrize(
    ("shape", "encoding"), [((9,), "signed"), ((18,), "planes"), ((), "index")]
)
def test_the_encoding_is_found_by_what_the_agent_takes(shape, encoding):
    spec = board_spec(shape, 9, "tictactoe")
    if encoding == "index":
        spec = type(spec)((), "int64", 9, num_states=3**9, game="tictactoe")
    assert playable_game(spec).encoding == encoding


def test_the_game_is_the_one_that_the_agent_tells_or_the_one_that_is_named():
    spec = board_spec((2, 6, 7), 7, "connect_four")
    assert isinstance(playable_game(spec), ConnectFour)
    assert isinstance(playable_game(replace(spec, game=None), "connect_four"), ConnectFour)


def test_a_game_of_ones_own_is_named_as_module_and_class():
    assert isinstance(playable_game(board_spec((1,), 2, None), "support.nim_game:Nim"), Nim)


@pytest.mark.parametrize(
    "space", [gym.spaces.Box(0, 4, (1,), np.int8), gym.spaces.Box(0, 4, (1,), np.float64)]
)
def test_a_game_shows_what_is_stored_whatever_the_type_of_its_space(space, monkeypatch):
    monkeypatch.setattr(Nim, "observation_space", space)
    spec = EnvironmentFactory("lightning_dqn/BoardGame-v0", kwargs={"game": Nim()}).spec
    assert isinstance(playable_game(spec, "support.nim_game:Nim"), Nim)


def test_a_game_of_zeros_and_ones_is_one_that_bool_is_stored_of(monkeypatch):
    monkeypatch.setattr(Nim, "observation_space", gym.spaces.MultiBinary(1))
    spec = replace(board_spec((1,), 2, "nim"), observation_dtype="bool")
    assert isinstance(playable_game(spec, "support.nim_game:Nim"), Nim)
    assert "shows bool[1]" in refusal(board_spec((1,), 2, "nim"), "support.nim_game:Nim")


def test_a_game_that_is_not_known_is_the_one_that_the_run_was_configured_with():
    game = Nim()
    assert playable_game(board_spec((1,), 2, "nim"), configured=lambda: game) is game
    assert isinstance(playable_game(board_spec((9,), 9, "tictactoe"), configured=None), TicTacToe)
    with pytest.raises(ValueError, match=r"^game=nim: the agent takes float32\[2\]"):
        playable_game(board_spec((2,), 2, "nim"), configured=lambda: game)


def refusal(spec, name=None) -> str:
    with pytest.raises(ValueError) as refused:
        playable_game(spec, name)
    return str(refused.value)


def test_an_agent_of_another_environment_is_told_what_can_be_played():
    spec = replace(board_spec((4,), 2, None))
    error = refusal(spec)
    assert error.startswith("game=null: the checkpoint tells of no board game")
    assert "tictactoe and connect_four" in error
    assert "module:Class" in error
    error = refusal(spec, "tictactoe")
    assert "float32[4]" in error
    assert "has 9" in error


def test_an_agent_of_one_game_does_not_play_another():
    assert "float32[9]" in refusal(board_spec((9,), 9, "tictactoe"), "connect_four")
    assert "float32[9]" in refusal(board_spec((9,), 9, "tictactoe"), "support.nim_game:Nim")
    nine_states = replace(board_spec((), 9, "tictactoe"), observation_dtype="int64", num_states=9)
    assert "one of 19,683 numbers" in refusal(nine_states)


def test_a_game_that_is_not_there_is_named():
    spec = board_spec((9,), 9, "tictactoe")
    assert refusal(spec, "nowhere:Hex").startswith("game=nowhere:Hex: can't be imported, ")
    assert "game=support.nim_game:Hex: can't be" in refusal(spec, "support.nim_game:Hex")
    assert "not a subclass" in refusal(spec, "pathlib:Path")
    assert refusal(spec, "hex").startswith("game=hex: the key says 'hex'. ")
    assert refusal(replace(spec, game="hex")).startswith("game=null: the checkpoint says 'hex'. ")
