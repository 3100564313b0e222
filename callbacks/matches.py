"""Games of the greedy policy against opponents of known strength."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytorch_lightning as pl

from lightning_dqn.callbacks.board_evaluation import BoardEvaluation
from lightning_dqn.dqn import DQN
from lightning_dqn.games.matches import SeatRecords, play_both_seats
from lightning_dqn.games.opponents.choice import opponent_name, opponent_of
from lightning_dqn.games.opponents.opponent import Opponent
from lightning_dqn.games.opponents.policy import PolicyOpponent
from lightning_dqn.system.numbers import whole_number
from lightning_dqn.system.seeding import generator_of


class Matches(BoardEvaluation):
    """Plays against each opponent, as many games first as second, after validation and test.

    Logs ``eval/<opponent>/<seat>/win_rate``, ``draw_rate`` and ``loss_rate``; a test also prints
    them with their 95 % intervals (Wilson).

    Args:
        opponents: as in :func:`lightning_dqn.games.opponents.choice.opponent_of`.
        games: in each seat against each opponent.
        random_plies: random moves at the start of each game, before the players take over; needed
            against a deterministic opponent, or all games are the same.
        every_n_epochs: play after the validations of every n-th epoch.
        seed: of the games, the same in each validation; a test plays other games. None: derived
            from the data module's.
    """

    def __init__(
        self,
        opponents: Sequence[Opponent | str] = ("random", "search:2"),
        *,
        games: int = 200,
        random_plies: int = 0,
        every_n_epochs: int = 1,
        seed: int | None = None,
    ) -> None:
        super().__init__(every_n_epochs=every_n_epochs)
        self.opponents = {opponent_name(opponent): opponent for opponent in opponents}
        if len(self.opponents) < len(opponents):
            raise ValueError(f"opponents={list(opponents)}: two have the same name in metrics")
        self.games = whole_number("games", games, least=1)
        self.random_plies = whole_number("random_plies", random_plies)
        self.seed = None if seed is None else whole_number("seed", seed)
        self._seed = 0
        self._players: dict[str, Opponent] = {}

    def prepare(self, trainer: pl.Trainer, module: DQN, stage: str) -> None:
        """Make the opponents."""
        game = self.environment.game
        self._seed = self.seed_from(trainer, self.seed)
        self._players = {name: opponent_of(o, game) for name, o in self.opponents.items()}

    def measure(self, trainer: pl.Trainer, module: DQN) -> Mapping[str, float]:
        """Play, and return the rates; print them if this is a test."""
        row: dict[str, float] = {}
        for name, opponent in self._players.items():
            records = self._play(module, opponent, is_test=bool(trainer.testing))
            for seat, record in records._asdict().items():
                row |= {f"{name}/{seat}/{key}": rate for key, rate in record.rates.items()}
            if trainer.testing:
                print(
                    f"{self.environment.game.name} against {name}, {self.games:,} games in either "
                    f"seat: first {records.first}; second {records.second}"
                )
        return row

    def _play(self, module: DQN, opponent: Opponent, *, is_test: bool) -> SeatRecords:
        generator = generator_of(self._seed, "matches", "test" if is_test else "validation")
        return play_both_seats(
            self.environment.game,
            PolicyOpponent(module.agent),
            opponent,
            self.games,
            generator,
            random_plies=self.random_plies,
        )
