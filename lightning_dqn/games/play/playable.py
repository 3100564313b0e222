"""Which game an agent plays, and with which encoding of the board."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from functools import partial

import gymnasium as gym

from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.games.connect_four import ConnectFour
from lightning_dqn.games.game import Game
from lightning_dqn.games.tictactoe import TicTacToe

GAMES: Mapping[str, tuple[Callable[[], Game], ...]] = {
    "tictactoe": (
        TicTacToe,
        partial(TicTacToe, encoding="planes"),
        partial(TicTacToe, encoding="index"),
    ),
    "connect_four": (ConnectFour,),
}
"""Name -> the game with each of its encodings."""


def playable_game(spec: EnvironmentSpec, name: str | None = None) -> Game:
    """Return the game that an agent plays, with the encoding that it takes.

    Args:
        spec: the agent's environment.
        name: the game, where the agent doesn't tell or to say another; a game of the user's own
            as ``module:Class``.

    Raises:
        ValueError: there is no such game, or the agent plays another one.
    """
    if name is not None and ":" in name:
        return _fitting(name, (_imported(name),), spec)
    given, name = name, spec.game if name is None else name
    if name is None or name not in GAMES:
        tells = "tells of no board game" if given is None and name is None else f"says {name!r}"
        raise ValueError(
            f"game={given or 'null'}: the {'key' if given else 'checkpoint'} {tells}. The page "
            f"knows {' and '.join(GAMES)}, to be named as game={next(iter(GAMES))}. A game of "
            "your own is game=module:Class, a subclass of lightning_dqn.games.game.Game; "
            "terminal=true plays it as it is, the page needs its rules too, as rules=<file>.js"
        )
    return _fitting(name, GAMES[name], spec)


def _imported(name: str) -> Callable[[], Game]:
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"game={name}: can't be imported, {error}") from error
    if not (isinstance(found, type) and issubclass(found, Game)):
        raise ValueError(f"game={name}: not a subclass of lightning_dqn.games.game.Game")
    return found


def _fitting(name: str, encodings: tuple[Callable[[], Game], ...], spec: EnvironmentSpec) -> Game:
    games = [make() for make in encodings]
    for game in games:
        if _fits(game, spec):
            return game
    shown = " or ".join(f"{_text(game.observation_space)}" for game in games)
    raise ValueError(
        f"game={name}: the agent takes {spec.observation_dtype}{list(spec.stacked_shape)} and has "
        f"{spec.num_actions} actions, but {games[0].name} shows {shown} and has "
        f"{games[0].num_actions}. Was it trained for another game?"
    )


def _fits(game: Game, spec: EnvironmentSpec) -> bool:
    space = game.observation_space
    if game.num_actions != spec.num_actions or spec.stacked_shape != (space.shape or ()):
        return False
    if isinstance(space, gym.spaces.Discrete):
        return spec.num_states == space.n
    return spec.num_states is None and spec.observation_dtype == str(space.dtype)


def _text(space: gym.Space) -> str:
    if isinstance(space, gym.spaces.Discrete):
        return f"one of {space.n:,} numbers"
    return f"{space.dtype}{list(space.shape or ())}"
