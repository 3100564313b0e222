"""Families of environments: how an id is registered, which extra brings it, where it is made."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import NamedTuple

import gymnasium as gym

from lightning_dqn.environments.atari_protocols import MAX_EPISODE_STEPS
from lightning_dqn.system.faults import first_line

NAMESPACE = "lightning_dqn/"
PETTINGZOO = "pettingzoo/"
ATARI = "Atari/"

_GAMES = "lightning_dqn.games.entry_points"

VECTOR_ENTRY_POINTS = {
    "lightning_dqn/BoardGame-v0": f"{_GAMES}:board_game",
    "lightning_dqn/ConnectFour-v0": f"{_GAMES}:connect_four",
    "lightning_dqn/Gambler-v0": "lightning_dqn.environments.tabular:GamblerVectorEnv",
    "lightning_dqn/TicTacToe-v0": f"{_GAMES}:tictactoe",
    "lightning_dqn/Torus-v0": "lightning_dqn.environments.tabular:TorusVectorEnv",
}
"""Id -> where its vector environment is."""

ENTRY_POINTS = {
    "lightning_dqn/BoardGame-v0": f"{_GAMES}:single_board_game",
    "lightning_dqn/ConnectFour-v0": f"{_GAMES}:single_connect_four",
    "lightning_dqn/TicTacToe-v0": f"{_GAMES}:single_tictactoe",
}
"""Id -> where its single environment is, for those that have one."""


def register_environments(id: str = NAMESPACE) -> None:
    """Register our own that aren't yet; importing an environment waits until it is made."""
    for own, entry_point in VECTOR_ENTRY_POINTS.items():
        if own not in gym.registry:
            gym.register(own, ENTRY_POINTS.get(own), vector_entry_point=entry_point)


def register_pettingzoo(id: str) -> None:
    """Register a turn game of PettingZoo, as ``pettingzoo/tictactoe_v3``, for self-play."""
    if id not in gym.registry:
        adapter = "lightning_dqn.games.pettingzoo:PettingZooVectorEnv"
        gym.register(id, vector_entry_point=adapter, kwargs={"game": id})


def register_atari(id: str) -> None:
    """Register an Atari game by our own preprocessing, as ``Atari/Pong-v0``."""
    game = id.removeprefix(ATARI).removesuffix("-v0")
    if id not in gym.registry and f"{ATARI}{game}-v0" == id:
        gym.register(
            id,
            vector_entry_point="lightning_dqn.environments.atari:AtariVectorEnv",
            max_episode_steps=MAX_EPISODE_STEPS,
            kwargs={"game": game},
        )


def register_ale(id: str) -> None:
    """Register the games of the Arcade Learning Environment as they are, ``ALE/Pong-v5``.

    Raises:
        ImportError: ale-py isn't installed.
    """
    importlib.import_module("ale_py")  # does it by itself


def register_minatar(id: str) -> None:
    """Register MinAtar's games, if that hasn't been done.

    Raises:
        ImportError: MinAtar isn't installed.
    """
    if not any(name.startswith("MinAtar/") for name in gym.registry):
        importlib.import_module("minatar.gym").register_envs()


class Family(NamedTuple):
    """What environments have in common whose ids begin alike.

    Attributes:
        register: makes gymnasium know an id; None where importing gymnasium has done it.
        extra: of this package that brings the environment; None where none is needed.
        differs_as_vector: their own vector form is another task than one environment.
    """

    register: Callable[[str], None] | None = None
    extra: str | None = None
    differs_as_vector: bool = False


FAMILIES = {
    NAMESPACE: Family(register_environments),
    PETTINGZOO: Family(register_pettingzoo, extra="pettingzoo"),
    ATARI: Family(register_atari, extra="atari"),
    "ALE/": Family(register_ale, extra="atari", differs_as_vector=True),
    "MinAtar/": Family(register_minatar, extra="minatar"),
    "LunarLander": Family(extra="box2d"),
    "BipedalWalker": Family(extra="box2d"),
    "CarRacing": Family(extra="box2d"),
}
"""Beginning of an id -> its family."""


def family_of(id: str) -> Family:
    """Return the family of an id; one of no needs where it is in none."""
    return next((family for prefix, family in FAMILIES.items() if id.startswith(prefix)), Family())


def registered(id: str) -> gym.envs.registration.EnvSpec:
    """Return gymnasium's record of an id; register or import what needs that first.

    Raises:
        ValueError: there is no such environment, or what brings it is missing.
    """
    register = family_of(id).register
    if register is not None:
        try:
            register(id)
        except ImportError as error:
            raise ValueError(missing_extra(id, error)) from error
    try:
        if ":" in id:
            importlib.import_module(id.split(":")[0])
            id = id.split(":", 1)[1]
        return gym.spec(id)
    except (gym.error.Error, ImportError) as error:
        raise ValueError(f"id={id}: {first_line(error)}") from error


def missing_extra(id: str, error: Exception) -> str:
    """Return what to install where making an environment failed by an import."""
    extra = family_of(id).extra
    if extra is None:
        return f"id={id}: {error}"
    return f"id={id}: needs the extra '{extra}': pip install 'lightning-dqn[{extra}]'"
