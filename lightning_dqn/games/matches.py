"""Matches between two players, many games at once.

Shapes: M boards, A actions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lightning_dqn.collecting.exploration import random_actions
from lightning_dqn.games.game import Game
from lightning_dqn.games.opponents.opponent import Opponent
from lightning_dqn.reporting.statistics import wilson_interval


class Record(NamedTuple):
    """How many games a player won, drew and lost."""

    wins: int = 0
    draws: int = 0
    losses: int = 0

    @property
    def games(self) -> int:
        """How many were played."""
        return self.wins + self.draws + self.losses

    @property
    def rates(self) -> dict[str, float]:
        """Shares of the games, under ``win_rate``, ``draw_rate`` and ``loss_rate``."""
        counts = {"win_rate": self.wins, "draw_rate": self.draws, "loss_rate": self.losses}
        return {name: count / self.games for name, count in counts.items()}

    def turned(self) -> Record:
        """Return the other player's record."""
        return Record(self.losses, self.draws, self.wins)

    def plus(self, other: Record) -> Record:
        """Return the record of both series of games together."""
        return Record(*(a + b for a, b in zip(self, other, strict=True)))

    def __str__(self) -> str:
        counts = {"won": self.wins, "drawn": self.draws, "lost": self.losses}
        return ", ".join(_share(name, count, self.games) for name, count in counts.items())


class SeatRecords(NamedTuple):
    """A player's records by who began."""

    first: Record
    second: Record

    @property
    def total(self) -> Record:
        """Return the record over both seats."""
        return self.first.plus(self.second)


def play_matches(
    game: Game,
    first: Opponent,
    second: Opponent,
    games: int,
    generator: np.random.Generator,
    *,
    random_plies: int = 0,
) -> Record:
    """Play ``games`` games at once and return the record of the player who begins.

    Args:
        game: the rules.
        first: makes the first move.
        second: answers.
        games: how many.
        generator: the source of chance.
        random_plies: so many moves of each game are random before the players take over; two
            players without chance of their own play the same game again and again otherwise.

    Raises:
        ValueError: no game is to be played.
    """
    if games < 1:
        raise ValueError(f"games={games}: at least 1")
    state = game.initial_state(games)
    record, ply = Record(), 0
    while len(state):
        if ply < random_plies:
            legal = game.legal_moves(state)
            action = random_actions(len(state), game.num_actions, legal, generator)
        else:
            player = first if ply % 2 == 0 else second
            action = player.act(game, state, generator)
        state = game.apply(state, action)
        ply += 1
        is_over, score = game.outcome(state)
        ended = score[is_over]
        won, lost = int((ended < 0).sum()), int((ended > 0).sum())
        # The score is that of the player whose turn it would be.
        of_mover = Record(won, len(ended) - won - lost, lost)
        record = record.plus(of_mover if ply % 2 == 1 else of_mover.turned())
        state = state[~is_over]
    return record


def play_both_seats(
    game: Game,
    player: Opponent,
    opponent: Opponent,
    games: int,
    generator: np.random.Generator,
    *,
    random_plies: int = 0,
) -> SeatRecords:
    """Play ``games`` games in either seat and return the player's records.

    Arguments are those of :func:`play_matches`.
    """
    begun = play_matches(game, player, opponent, games, generator, random_plies=random_plies)
    other = play_matches(game, opponent, player, games, generator, random_plies=random_plies)
    return SeatRecords(begun, other.turned())


def _share(name: str, count: int, games: int) -> str:
    low, high = wilson_interval(count, games)
    return f"{count / games:.1%} {name} [{low:.1%}, {high:.1%}]"
