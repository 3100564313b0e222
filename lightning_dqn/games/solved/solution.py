"""What a policy of a small game is worth, and what it misses, measured exactly.

Shapes: P positions, A actions.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np

from lightning_dqn.games.solved.tree import GameTree, Result

SAME_VALUE = 1e-9
SEATS = ("first", "second")


class ExactSolution:
    """The optimum of one setting of a game, and policies beside it.

    Args:
        tree: all positions of the game.
        opponent: ``"self"``, where the learner plays both sides and the optimum is that of the
            game; or whom the optimum is against, ``"random"`` or ``"perfect"``.
        seat: the learner's, against an opponent: ``"first"``, ``"second"`` or ``"random"``.
        rewards: of a win, a draw and a loss.
    """

    def __init__(
        self,
        tree: GameTree,
        *,
        opponent: Literal["self", "random", "perfect"] = "self",
        seat: Literal["first", "second", "random"] = "random",
        rewards: tuple[float, float, float] = (1.0, 0.0, -1.0),
    ) -> None:
        self.tree = tree
        self.rewards = rewards
        perfect = tree.greedy_policy(tree.self_play_values(), SAME_VALUE)
        self.players = {"random": tree.random_policy(), "perfect": perfect}
        self.against = self.players.get(opponent)
        is_one_seat = self.against is not None and seat != "random"
        self.seats = (seat,) if is_one_seat else SEATS
        self.counted = ~tree.is_over & self._learner_moves_at()
        self._q_values = lru_cache(maxsize=1)(self._solve)
        self.optimum = self._value(self._best_policy(), opponent=self.against)
        self.game_value = self._value(perfect)

    def q_values(self, gamma: float) -> np.ndarray:
        """Return Q* of the setting, float64[P, A]; NaN where a move isn't legal.

        Args:
            gamma: discount of an env step; its sign is that of the setting, whatever it has.
        """
        return self._q_values(abs(gamma))

    def errors(self, q_values: np.ndarray, policy: np.ndarray, gamma: float) -> dict[str, float]:
        """Return how far values and policy are from the optimum.

        Args:
            q_values: float[P, A].
            policy: float64[P, A], the chances of each move, from ``q_values``.
            gamma: discount of an env step.

        Returns:
            ``q_rmse``, over all legal moves of the counted positions; ``mean_regret``, the exact
            value of the best move minus that of the policy's, averaged over these positions;
            ``optimality_gap``, the mean reward of the optimum minus the policy's, and
            ``exploitability``, what an opponent who knows the policy makes above the game's value,
            both undiscounted and averaged over the learner's seats.
        """
        exact = self.q_values(gamma)[self.counted]
        legal = self.tree.legal[self.counted]
        found = np.asarray(q_values, np.float64)[self.counted]
        squared = np.where(legal, (found - exact) ** 2, 0.0)
        exact = np.where(legal, exact, -np.inf)
        chosen = (np.where(legal, exact, 0.0) * policy[self.counted]).sum(axis=1)
        return {
            "q_rmse": float(np.sqrt(squared.sum() / legal.sum())),
            "mean_regret": float((exact.max(axis=1) - chosen).mean()),
            "optimality_gap": self.optimum - self._value(policy, opponent=self.against),
            "exploitability": self._exploitability(policy),
        }

    def tactics(self, policy: np.ndarray) -> dict[str, float]:
        """Return how often a policy misses a win at once, and to block one of the other's.

        Returns:
            ``missed_wins`` and ``missed_blocks``, in how many of the counted positions where there
            is one; ``missed_win_rate`` and ``missed_block_rate``, the share of them.
        """
        row: dict[str, float] = {}
        moves = {"win": self.tree.winning_moves(), "block": self.tree.blocking_moves()}
        for name, wanted in moves.items():
            there_is = wanted.any(axis=1) & self.counted
            missed = float((policy * ~wanted)[there_is].sum())
            row[f"missed_{name}s"] = missed
            row[f"missed_{name}_rate"] = missed / max(1, int(there_is.sum()))
        return row

    def outcomes(self, policy: np.ndarray) -> dict[str, float]:
        """Return how its games end, as ``exact/<random or perfect>/<seat>/win_rate``."""
        row: dict[str, float] = {}
        for name, player in self.players.items():
            for seat in SEATS:
                result = self._play(policy, player, seat)
                rates = {"win": result.win, "draw": result.draw, "loss": result.loss}
                row |= {f"exact/{name}/{seat}/{end}_rate": rate for end, rate in rates.items()}
        return row

    def _solve(self, gamma: float) -> np.ndarray:
        if self.against is None:
            return self.rewards[0] * self.tree.self_play_values(-gamma)
        return self.tree.values_against(self.against, self.rewards, gamma)

    def _best_policy(self) -> np.ndarray:
        """Return the policy of the largest mean reward, float64[P, A]."""
        if self.against is None:
            return self.players["perfect"]
        return self.tree.greedy_policy(self.tree.values_against(self.against, self.rewards))

    def _learner_moves_at(self) -> np.ndarray:
        """Return the positions that can arise on the learner's turn, bool[P]."""
        if self.against is None:
            return np.ones(len(self.tree), bool)
        is_second_to_move = np.zeros(len(self.tree), bool)
        for ply in self.tree.plies[1::2]:
            is_second_to_move[ply] = True
        own, answers = self.tree.legal, self.against > 0
        turns = {
            "first": self.tree.reachable(own, answers) & ~is_second_to_move,
            "second": self.tree.reachable(answers, own) & is_second_to_move,
        }
        return np.any([turns[seat] for seat in self.seats], axis=0)

    def _play(self, policy: np.ndarray, opponent: np.ndarray, seat: str) -> Result:
        """Return how games end for ``policy`` in ``seat``."""
        if seat == "first":
            return self.tree.play(policy, opponent)
        win, loss, draw = self.tree.play(opponent, policy)
        return Result(win=loss, loss=win, draw=draw)

    def _value(self, policy: np.ndarray, opponent: np.ndarray | None = None) -> float:
        """Return the mean reward over the learner's seats; None: against the perfect player."""
        opponent = self.players["perfect"] if opponent is None else opponent
        results = [self._play(policy, opponent, seat) for seat in self.seats]
        return float(np.mean([result.value(*self.rewards) for result in results]))

    def _exploitability(self, policy: np.ndarray) -> float:
        win, draw, loss = self.rewards
        # What costs the learner most is the exploiter's gain.
        gains = self.tree.values_against(policy, (-loss, -draw, -win))
        return self.game_value - self._value(policy, opponent=self.tree.greedy_policy(gains))
