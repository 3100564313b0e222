"""Opponents by their names."""

from __future__ import annotations

import re
from pathlib import Path

from lightning_dqn.games.game import Game
from lightning_dqn.games.opponents.opponent import Opponent
from lightning_dqn.games.opponents.perfect import PerfectOpponent
from lightning_dqn.games.opponents.policy import CheckpointOpponent
from lightning_dqn.games.opponents.random import RandomOpponent
from lightning_dqn.games.opponents.search import SearchOpponent

CHOICE = "random, perfect, search:<plies> such as search:4, or the path of a run or a checkpoint"


def opponent_of(opponent: Opponent | str, game: Game) -> Opponent:
    """Return an opponent, whatever way it is given.

    Args:
        opponent: ``"random"``; ``"perfect"``; ``"search:4"``, looking so many moves ahead; the
            path of a run's folder or a checkpoint; or an :class:`Opponent`.
        game: what is played.

    Raises:
        ValueError: it is none of these, or doesn't play this game.
    """
    if not isinstance(opponent, str):
        return opponent
    if opponent == "random":
        return RandomOpponent()
    if opponent == "perfect":
        return PerfectOpponent(game)
    if depth := re.fullmatch(r"search:(\d+)", opponent):
        return SearchOpponent(int(depth[1]))
    if Path(opponent).exists():
        return CheckpointOpponent(opponent, game=game)
    raise ValueError(
        f"opponent={opponent!r}: choose {CHOICE}; there is no such file or folder, seen from "
        f"{Path.cwd()}"
    )


def opponent_name(opponent: Opponent | str) -> str:
    """Return what metrics call an opponent: ``random``, ``search_4``, a path's last part."""
    if isinstance(opponent, str):
        name = Path(opponent).stem if Path(opponent).suffix == ".ckpt" else Path(opponent).name
        return re.sub(r"\W", "_", name)
    if isinstance(opponent, SearchOpponent):
        return f"search_{opponent.depth}"
    if isinstance(opponent, CheckpointOpponent):
        return opponent_name(str(opponent.path))
    name = type(opponent).__name__.removesuffix("Opponent")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
