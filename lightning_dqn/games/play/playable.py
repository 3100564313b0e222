"""Which game an agent plays, and with which encoding of the board."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from functools import partial

from lightning_dqn.environments.exact import describe_observation
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


def playable_game(
    spec: EnvironmentSpec,
    name: str | None = None,
    configured: Callable[[], Game | None] = lambda: None,
) -> Game:
    """Return the game that an agent plays, with the encoding that it takes.

    Args:
        spec: the agent's environment.
        name: the game, where the agent doesn't tell or to say another; a game of the user's own
            as ``module:Class``.
        configured: makes the game that the configuration of the agent's run describes, if it does;
            asked for a game that isn't in ``GAMES``, where there is no ``name``.

    Raises:
        ValueError: there is no such game, it can't be made, or the agent plays another one.
    """
    if name is not None and ":" in name:
        return _fitting(name, [_made(name)], spec)
    given, name = name, spec.game if name is None else name
    if name is not None and name in GAMES:
        return _fitting(name, [make() for make in GAMES[name]], spec)
    if given is None and name is not None and (game := configured()) is not None:
        return _fitting(game.name, [game], spec)
    tells = "tells of no board game" if name is None else f"says {name!r}"
    raise ValueError(
        f"game={given or 'null'}: the {'key' if given else 'checkpoint'} {tells}. The page "
        f"knows {' and '.join(GAMES)}, to be named as game={next(iter(GAMES))}. A game of "
        "your own is game=module:Class, a subclass of lightning_dqn.games.game.Game; "
        "terminal=true plays it as it is, the page needs its rules too, as rules=<file>.js"
    )


def _made(name: str) -> Game:
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"game={name}: can't be imported, {error}") from error
    if not (isinstance(found, type) and issubclass(found, Game)):
        raise ValueError(f"game={name}: not a subclass of lightning_dqn.games.game.Game")
    try:
        return found()
    except Exception as error:  # whatever a constructor of the user's own may raise
        raise ValueError(
            f"game={name}: can't be made without arguments, {type(error).__name__}: {error}; "
            f"with trust={module.partition('.')[0]} in place of game= it is made as the run says"
        ) from error


def _fitting(name: str, games: list[Game], spec: EnvironmentSpec) -> Game:
    expected = (spec.stacked_shape, spec.observation_dtype, spec.num_states)
    for game in games:
        found = describe_observation(game.observation_space, game.name)
        if (found, game.num_actions) == (expected, spec.num_actions):
            return game
    shown = " or ".join(_text(game) for game in games)
    raise ValueError(
        f"game={name}: the agent takes {spec.observation_dtype}{list(spec.stacked_shape)} and has "
        f"{spec.num_actions} actions, but {games[0].name} shows {shown} and has "
        f"{games[0].num_actions}. Was it trained for another game?"
    )


def _text(game: Game) -> str:
    shape, dtype, num_states = describe_observation(game.observation_space, game.name)
    return f"{dtype}{list(shape)}" if num_states is None else f"one of {num_states:,} numbers"
