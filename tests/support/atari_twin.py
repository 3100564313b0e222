"""Atari beside its naive twin: gymnasium's preprocessing of single environments.

Shapes: E environments.
"""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np

from lightning_dqn.environments.atari import AtariVectorEnv
from lightning_dqn.environments.atari_emulators import emulator_seeds
from lightning_dqn.environments.atari_protocols import Protocol

GAMES = [
    "Alien",
    "Amidar",
    "Assault",
    "Asterix",
    "BankHeist",
    "BattleZone",
    "Boxing",
    "Breakout",
    "ChopperCommand",
    "CrazyClimber",
    "DemonAttack",
    "Freeway",
    "Frostbite",
    "Gopher",
    "Hero",
    "Jamesbond",
    "Kangaroo",
    "Krull",
    "KungFuMaster",
    "MsPacman",
    "Pong",
    "PrivateEye",
    "Qbert",
    "RoadRunner",
    "Seaquest",
    "UpNDown",
]
"""The 26 games of Kaiser et al. 2020."""


class Looking:
    """Passes on what emulators give, and keeps their newest ``info``."""

    def __init__(self, games: Any) -> None:
        self.games = games
        self.info: dict[str, np.ndarray] = {}

    def reset(self, **named: Any) -> Any:
        observation, self.info = self.games.reset(**named)
        return observation, self.info

    def step(self, actions: np.ndarray) -> Any:
        given = self.games.step(actions)
        self.info = given[-1]
        return given


class Seen(NamedTuple):
    """What a step of the twin gave."""

    frame: np.ndarray
    reward: float
    terminated: bool
    life_lost: bool


class Twin:
    """One game by ``AtariPreprocessing``, which begins as many frames late as it is told.

    Args:
        game: as ``Pong``.
        protocol: that it is played by.
        seed: of its emulator.
    """

    def __init__(self, game: str, protocol: Protocol, seed: int) -> None:
        importlib.import_module("ale_py")
        made = gym.make(
            f"ALE/{game}-v5",
            frameskip=1,
            repeat_action_probability=protocol.repeat_action_probability,
            full_action_space=protocol.full_action_space,
            disable_env_checker=True,
        )
        self.environment: Any = gym.wrappers.AtariPreprocessing(made, noop_max=0)
        self.environment.reset()
        unwrapped: Any = made.unwrapped
        self.ale = unwrapped.ale
        self.has_fire = protocol.fire and "FIRE" in unwrapped.get_action_meanings()
        self.ale.setInt("random_seed", seed)
        unwrapped.load_game()

    def begin(self, frame_number: int) -> np.ndarray:
        """Begin a game and do nothing until so many frames have passed; return the picture."""
        ale = self.ale
        ale.reset_game()
        if self.has_fire:
            ale.act(1)
        while ale.getEpisodeFrameNumber() < frame_number:
            ale.act(0)
        self.environment.lives = ale.lives()
        ale.getScreenGrayscale(self.environment.obs_buffer[0])
        self.environment.obs_buffer[1].fill(0)
        return np.asarray(self.environment._get_obs())

    def step(self, action: int) -> Seen:
        """Take a step."""
        lives = self.ale.lives()
        frame, reward, terminated, _, _ = self.environment.step(action)
        return Seen(np.asarray(frame), float(reward), bool(terminated), self.ale.lives() < lives)


def differences(game: str, protocol: Any, num_steps: int, *, num_envs: int = 2) -> list[str]:
    """Play at random beside the twins; return what they saw otherwise, with the step.

    Where a game ends both begin another.
    """
    made = AtariVectorEnv(num_envs, game=game, protocol=protocol, num_threads=1)
    looking = made._games = Looking(made._games)
    seeds = emulator_seeds(3, num_envs).tolist()
    twins = [Twin(game, made.protocol, seed) for seed in seeds]
    frames, info = made.reset(seed=3)
    found: list[str] = []

    def compare(what: str, at: Any, ours: Any, theirs: Any) -> None:
        if not np.array_equal(ours, theirs):
            found.append(f"{game}: {what} of environment {at[1]} at step {at[0]}")

    begun = [t.begin(int(n)) for t, n in zip(twins, frame_numbers(looking), strict=True)]
    compare("first frames", (0, "all"), frames, np.stack(begun))
    generator = np.random.default_rng(0)
    ended = np.zeros(num_envs, bool)
    for step in range(1, num_steps + 1):
        actions = generator.integers(made._num_actions, size=num_envs)
        frames, reward, terminated, truncated, info = made.step(actions)
        assert not truncated.any()
        for env, twin in enumerate(twins):
            if ended[env]:
                first = twin.begin(int(frame_numbers(looking)[env]))
                seen = Seen(first, 0.0, False, False)
            else:
                seen = twin.step(int(actions[env]))
            at = (step, env)
            compare("frame", at, frames[env], seen.frame)
            compare("reward", at, reward[env], seen.reward)
            compare("termination", at, terminated[env], seen.terminated)
            if made.protocol.life_ends:
                compare("life", at, info["life_lost"][env], seen.life_lost)
        ended = terminated
    made.close()
    return found


def frame_numbers(looking: Looking) -> np.ndarray:
    """Return how many frames of each game have passed, int[E]."""
    return looking.info["episode_frame_number"]
