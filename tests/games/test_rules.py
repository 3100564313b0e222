"""A game of the user's own that breaks the contract is refused before anything is learned."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.nim_game import Nim

from lightning_dqn.games.connect_four import ConnectFour
from lightning_dqn.games.environment import BoardGameVectorEnv
from lightning_dqn.games.game import Game, Outcome
from lightning_dqn.games.rules import check_rules
from lightning_dqn.games.tictactoe import TicTacToe


class TwicePunished(Nim):
    """Scores as it likes."""

    def outcome(self, state: np.ndarray) -> Outcome:
        is_over, score = super().outcome(state)
        return Outcome(is_over, 2 * score)


class EarlyWinner(Nim):
    """Has a score while the game goes on."""

    def outcome(self, state: np.ndarray) -> Outcome:
        return Outcome(super().outcome(state).is_over, np.full(len(state), -1, np.int8))


class InPlace(Nim):
    """Makes moves on the boards it is given."""

    def apply(self, state: np.ndarray, action: np.ndarray) -> np.ndarray:
        state -= action[:, None] + 1
        return state


class Stuck(Nim):
    """Leaves no move while the game goes on."""

    def legal_moves(self, state: np.ndarray) -> np.ndarray:
        return super().legal_moves(state) & (state > 2)


class MovesAloneMirrored(Nim):
    """Its symmetry moves the moves, and leaves the boards as they are."""

    @property
    def symmetry_actions(self) -> np.ndarray:
        moves = np.arange(self.num_actions)
        return np.stack([moves, moves[::-1]])


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        (TwicePunished, "outcome: its score is -1, 0 or 1"),
        (EarlyWinner, "outcome: its score is .* 0 until the game is over"),
        (InPlace, "apply: it returns new boards"),
        (Stuck, "legal_moves: there are some until the game is over"),
        (MovesAloneMirrored, "transform: by symmetry 1 "),
    ],
)
def test_a_game_that_breaks_the_contract_is_refused(kind: Any, fault: str) -> None:
    with pytest.raises(ValueError, match=rf"^{kind.__name__}\.{fault}"):
        BoardGameVectorEnv(kind())
    BoardGameVectorEnv(Nim())


@pytest.mark.parametrize("game", [TicTacToe(), ConnectFour()])
def test_the_symmetries_of_the_games_here_keep_to_it(game: Game) -> None:
    check_rules(game)
