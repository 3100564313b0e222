"""How far a policy is from the exact solution of a small game, over all its positions.

Shapes: P positions, A actions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pytorch_lightning as pl

from lightning_dqn.callbacks.board_evaluation import BoardEvaluation
from lightning_dqn.dqn import DQN
from lightning_dqn.games.environment import Rewards, Seat
from lightning_dqn.games.opponents.perfect import PerfectOpponent
from lightning_dqn.games.opponents.random import RandomOpponent
from lightning_dqn.games.solved.solution import ExactSolution
from lightning_dqn.games.solved.tree import GameTree
from lightning_dqn.system.numbers import finite_number

Against = Literal["training", "self", "random", "perfect"]


class ExactMetrics(BoardEvaluation):
    """Compares the greedy policy with the solved game, after validation and test.

    Nothing is sampled: every position that can arise on the learner's turn is evaluated once, and
    the probabilities of the results against the random and the perfect player are computed
    exactly. The glossary lists what is logged. ``eval/optimality_gap`` and ``eval/mean_regret``
    are 0 for a policy that can't be improved, so a ``ModelCheckpoint`` may monitor them with
    ``mode="min"``.

    Args:
        opponent: opponent that the optimum is computed against. ``"self"``: optimal play of both
            sides; ``"random"``; ``"perfect"``; ``"training"``: as in the training environment.
        seat: the learner's side against an opponent, not in self-play; None: as in training.
        rewards: for a win, a draw and a loss; None: as in training.
        every_n_epochs: measure after the validations of every n-th epoch.

    Raises:
        ValueError: at the start of the fit, if the game is too large, or the moves of its training
            opponent aren't known exactly.
    """

    def __init__(
        self,
        opponent: Against = "training",
        *,
        seat: Seat | None = None,
        rewards: tuple[float, float, float] | None = None,
        every_n_epochs: int = 1,
    ) -> None:
        super().__init__(every_n_epochs=every_n_epochs)
        if opponent not in ("training", "self", "random", "perfect"):
            raise ValueError(f"opponent={opponent!r}: choose training, self, random or perfect")
        if seat not in (None, "first", "second", "random"):
            raise ValueError(f"seat={seat!r}: choose first, second, random, or None as in training")
        self.opponent = opponent
        self.seat = seat
        if rewards is not None and len(rewards) != 3:
            raise ValueError(f"rewards={rewards}: three, of a win, a draw and a loss")
        for reward in rewards or ():
            finite_number("rewards", reward)
        self.rewards = rewards
        self._solution: ExactSolution
        self._observation: np.ndarray

    def prepare(self, trainer: pl.Trainer, module: DQN, stage: str) -> None:
        """Find all positions and solve the game."""
        environment, opponent = self.environment, self._opponent()
        if opponent == "self" and self.seat is not None:
            raise ValueError(
                f"seat={self.seat!r}: in self-play there is a learner on both sides; choose "
                "opponent='random' or 'perfect', or leave seat out"
            )
        try:
            tree = GameTree.of(environment.game)
        except ValueError as error:
            raise ValueError(f"ExactMetrics: {error}; Matches plays games instead") from error
        self._solution = ExactSolution(
            tree,
            opponent=opponent,
            seat=self.seat or environment.seat,
            rewards=Rewards(*(self.rewards or environment.rewards)),
        )
        self._observation = environment.game.encode(tree.state[~tree.is_over])

    def measure(self, trainer: pl.Trainer, module: DQN) -> Mapping[str, float]:
        """Return all that is known of the policy."""
        tree = self._solution.tree
        q_values = np.zeros(tree.legal.shape)
        q_values[~tree.is_over] = module.q_values(self._observation).double().cpu().numpy()
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        gamma = data.replay_config.gamma_at(module.env_steps)
        policy = tree.greedy_policy(q_values)
        return (
            self._solution.errors(q_values, policy, gamma)
            | self._solution.tactics(policy)
            | self._solution.outcomes(policy)
        )

    def _opponent(self) -> Literal["self", "random", "perfect"]:
        if self.opponent != "training":
            return self.opponent
        opponent = self.environment.opponent
        if opponent is None:
            return "self"
        if isinstance(opponent, RandomOpponent):
            return "random"
        if isinstance(opponent, PerfectOpponent):
            return "perfect"
        raise ValueError(
            f"ExactMetrics: there is no exact optimum against a {type(opponent).__name__}; choose "
            "opponent='self', 'random' or 'perfect' to compare with"
        )
