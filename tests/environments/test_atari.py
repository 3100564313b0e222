"""Atari: equal to gymnasium's preprocessing frame by frame, and what hangs or misleads refused."""

from __future__ import annotations

import itertools
import os
from typing import Any

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, VectorEnv
from support.atari_twin import GAMES, differences

from lightning_dqn.environments import atari
from lightning_dqn.environments.atari import AtariVectorEnv
from lightning_dqn.environments.atari_emulators import emulator_seeds, rom_of
from lightning_dqn.environments.factory import EnvironmentFactory


class ScriptedGames:
    """Stands for the emulators: gives lives and ends as a script says, for one environment.

    Args:
        lives: after the reset and after each step.
        ended: after each step.
    """

    def __init__(self, lives: list[int], ended: list[bool]) -> None:
        self.single_action_space = type("Actions", (), {"n": 4})
        self.lives = iter(lives)
        self.ended = iter(ended)
        self.seeds: list[Any] = []

    def reset(self, *, seed: Any) -> Any:
        self.seeds.append(seed)
        return self._picture(), {"lives": np.array([next(self.lives)])}

    def step(self, actions: np.ndarray) -> Any:
        truncated, info = np.array([next(self.ended)]), {"lives": np.array([next(self.lives)])}
        return self._picture(), np.array([-3], np.int32), np.zeros(1, bool), truncated, info

    def _picture(self) -> np.ndarray:
        return np.full((1, 1, 84, 84), 7, np.uint8)


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make an environment over scripted games."""

    def make(lives: list[int], ended: list[bool], protocol: Any = "nature") -> AtariVectorEnv:
        games = ScriptedGames(lives, ended)
        monkeypatch.setattr(atari, "emulators", lambda *_: games)
        monkeypatch.setattr(atari, "rom_of", str.lower)
        return AtariVectorEnv(1, game="Pong", protocol=protocol)

    return make


# The twin


@pytest.mark.parametrize(
    ("game", "protocol"), [("Breakout", "nature"), ("Pong", "sticky"), ("MsPacman", "100k")]
)
def test_a_game_is_that_of_its_naive_twin_bit_for_bit(game, protocol):
    pytest.importorskip("ale_py")
    pytest.importorskip("cv2")
    assert differences(game, protocol, 250) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("game", "protocol"),
    list(zip(GAMES, itertools.cycle(["nature", "100k", "sticky"]), strict=False)),
)
def test_all_games_are_those_of_their_twins(game, protocol):
    pytest.importorskip("ale_py")
    pytest.importorskip("cv2")
    assert differences(game, protocol, 1_000) == []


# Lives


def test_a_life_lost_is_told_where_it_falls_also_to_none(scripted):
    """BankHeist tells of no lives while its last game goes on."""
    environment = scripted([2, 2, 1, 0, 0], [False] * 4)
    _, info = environment.reset(seed=0)
    told = [info["life_lost"]] + [environment.step([0])[-1]["life_lost"] for _ in range(4)]
    assert np.concatenate(told).tolist() == [False, False, True, True, False]


def test_a_new_game_with_fewer_lives_has_lost_none(scripted):
    """DemonAttack gives lives, so that a game that is cut may have more than one begins with."""
    environment = scripted([4, 6, 4, 3], [True, False, False])
    environment.reset(seed=0)
    told = [bool(environment.step([0])[-1]["life_lost"][0]) for _ in range(3)]
    assert told == [False, False, True]


def test_nothing_is_told_of_lives_where_the_protocol_knows_none(scripted):
    environment = scripted([2, 1], [False], "sticky")
    assert environment.reset(seed=0)[1] == {}
    assert environment.step([0])[-1] == {}


def test_rewards_are_those_of_the_game(scripted):
    environment = scripted([2, 1], [False])
    environment.reset(seed=0)
    reward = environment.step([0])[1]
    assert reward.dtype == np.float32
    assert reward.tolist() == [-3.0]


# What would hang, refused


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ([4], r"^actions\[0\]=4: this game has the actions 0 to 3$"),
        ([-1], r"^actions\[0\]=-1: this game has the actions 0 to 3$"),
        ([0, 1], r"^actions=int64\[2\]: expected whole numbers \[1\]"),
        ([0.0], r"^actions=float64\[1\]: expected whole numbers \[1\]"),
    ],
)
def test_an_action_that_the_game_does_not_have_is_refused_before_it_is_sent(
    actions, message, scripted
):
    environment = scripted([2, 2], [False])
    environment.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        environment.step(actions)
    assert not next(environment._games.ended)  # the step wasn't taken


def test_threads_that_a_fork_left_behind_are_not_waited_for(scripted, monkeypatch):
    environment = scripted([2, 2], [False])
    environment.reset(seed=0)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    for call in (lambda: environment.step([0]), environment.reset):
        with pytest.raises(ValueError, match="was made in another process"):
            call()


def test_a_closed_environment_holds_no_emulator_and_says_so(scripted):
    environment = scripted([2, 2], [False])
    environment.reset(seed=0)
    environment.close()
    assert environment._games is None
    with pytest.raises(ValueError, match="is closed; make another one"):
        environment.step([0])


# Seeds


def test_no_two_emulators_have_the_same_seed_nor_runs_of_adjacent_seeds():
    drawn = [emulator_seeds(seed, 64).tolist() for seed in range(20)]
    assert len({one for of_run in drawn for one in of_run}) == 20 * 64
    assert all(0 <= one < 2**31 for of_run in drawn for one in of_run)
    assert emulator_seeds(3, 64).tolist() == drawn[3]


def test_environments_that_nobody_seeds_are_seeded_once_and_unlike(scripted):
    one, other = scripted([2] * 3, []), scripted([2] * 3, [])
    for environment in (one, one, other):
        environment.reset()
    first, again = one._games.seeds
    assert again is None
    assert first != other._games.seeds[0]


# What it tells of itself


def test_pictures_show_what_the_agent_sees(scripted):
    environment = scripted([2, 2], [False])
    environment.reset(seed=0)
    [picture] = environment.render()
    assert picture.shape == (84, 84, 3)
    assert (picture == 7).all()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("protocol", "50k", r"^protocol='50k': choose one of sticky, nature, 100k$"),
        ("render_mode", "human", r"^render_mode='human': rgb_array, or null$"),
        ("max_episode_steps", 0, r"^max_episode_steps=0: at least 1$"),
    ],
)
def test_a_setting_that_means_nothing_is_refused_by_name(key, value, message, scripted):
    scripted([], [])
    with pytest.raises(ValueError, match=message):
        AtariVectorEnv(1, game="Pong", **{key: value})


def test_an_unknown_game_is_refused_with_the_closest_one():
    pytest.importorskip("ale_py")
    with pytest.raises(ValueError, match=r"^game=Pogn: .*; did you mean pong\?$"):
        rom_of("Pogn")
    assert rom_of("MsPacman") == rom_of("ms_pacman") == "ms_pacman"


def test_two_environments_keep_metadata_of_their_own(monkeypatch):
    """The emulators write into the dict that all vector environments share."""
    pytest.importorskip("ale_py")
    vector_env = pytest.importorskip("ale_py.vector_env")
    before = dict(VectorEnv.metadata)
    sticky = AtariVectorEnv(1, game="Pong", protocol="sticky")
    nature = AtariVectorEnv(1, game="Pong", protocol="nature")
    assert VectorEnv.metadata == before
    monkeypatch.setattr(VectorEnv, "metadata", dict(before))
    other = vector_env.AtariVectorEnv("pong", 1, autoreset_mode=AutoresetMode.SAME_STEP)
    assert VectorEnv.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    for environment in (sticky, nature):
        assert environment.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    told = [each.metadata["evaluation_epsilon"] for each in (sticky, nature)]
    assert told == [0.001, 0.05]
    for environment in (sticky, nature):
        environment.close()
    del other


def test_a_game_that_is_cut_is_truncated_and_its_limit_is_known():
    pytest.importorskip("ale_py")
    kwargs = {"protocol": "100k", "max_episode_steps": 12, "num_threads": 1}
    environment = EnvironmentFactory("Atari/Pong-v0", kwargs=kwargs).make(1)
    assert environment.spec is not None
    environment.reset(seed=0)
    ends = [environment.step(np.array([0]))[2:4] for _ in range(12)]
    assert not any(terminated[0] for terminated, _ in ends)
    assert [bool(truncated[0]) for _, truncated in ends] == [False] * 11 + [True]
    environment.close()


def test_a_known_environment_is_described_exactly():
    pytest.importorskip("ale_py")
    spec = EnvironmentFactory("Atari/Breakout-v0", frame_stack=4, kwargs={"protocol": "100k"}).spec
    assert spec.observation_shape == (84, 84)
    assert spec.observation_dtype == "uint8"
    assert spec.stacked_shape == (4, 84, 84)
    assert (spec.num_actions, spec.has_life_losses) == (4, True)
