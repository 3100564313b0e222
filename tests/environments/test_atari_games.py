"""A game by its name on a command line."""

from __future__ import annotations

import pytest

from lightning_dqn.environments.atari_games import atari


def test_game_and_protocol_reach_the_environment():
    made = atari("Atari/Pong-v0", game="Pong", protocol="100k", kwargs={"max_episode_steps": 9})
    assert (made.id, made.num_envs, made.frame_stack) == ("Atari/Pong-v0", 8, 4)
    assert made.kwargs == {
        "protocol": "100k",
        "full_action_space": None,
        "num_threads": 0,
        "max_episode_steps": 9,
    }


def test_an_id_of_another_game_is_refused():
    with pytest.raises(ValueError, match=r"^id=Atari/Qbert-v0: the game is Pong; leave the id"):
        atari("Atari/Qbert-v0", game="Pong")
