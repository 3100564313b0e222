"""The board games as gymnasium knows them: ``gym.make_vec`` and ``gym.make`` call these."""

from __future__ import annotations

from typing import Any

from lightning_dqn.games.connect_four import ConnectFour
from lightning_dqn.games.environment import BoardGameVectorEnv
from lightning_dqn.games.game import Game
from lightning_dqn.games.single_board import BoardGameEnv
from lightning_dqn.games.tictactoe import Encoding, TicTacToe


def tictactoe(num_envs: int, *, encoding: Encoding = "signed", **kwargs: Any) -> BoardGameVectorEnv:
    """Return boards of :class:`TicTacToe`; ``kwargs`` as of :class:`BoardGameVectorEnv`."""
    return BoardGameVectorEnv(TicTacToe(encoding), num_envs, **kwargs)


def connect_four(num_envs: int, **kwargs: Any) -> BoardGameVectorEnv:
    """Return boards of :class:`ConnectFour`; ``kwargs`` as of :class:`BoardGameVectorEnv`."""
    return BoardGameVectorEnv(ConnectFour(), num_envs, **kwargs)


def board_game(num_envs: int, *, game: Game, **kwargs: Any) -> BoardGameVectorEnv:
    """Return boards of a game of the user's own."""
    if not isinstance(game, Game):
        raise ValueError(
            f"game={game!r}: expected a lightning_dqn.games.game.Game; on the command line "
            "+environment.kwargs.game._target_=my_module.MyGame"
        )
    return BoardGameVectorEnv(game, num_envs, **kwargs)


def single_tictactoe(**kwargs: Any) -> BoardGameEnv:
    """Return one board of :class:`TicTacToe`."""
    return BoardGameEnv(tictactoe(1, **kwargs))


def single_connect_four(**kwargs: Any) -> BoardGameEnv:
    """Return one board of :class:`ConnectFour`."""
    return BoardGameEnv(connect_four(1, **kwargs))


def single_board_game(**kwargs: Any) -> BoardGameEnv:
    """Return one board of a game of the user's own."""
    return BoardGameEnv(board_game(1, **kwargs))
