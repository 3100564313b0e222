"""C51: probabilities of fixed returns.

Shapes: B batch, A actions, N outputs per action.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from lightning_dqn import td
from lightning_dqn.networks.heads.head import Head, HeadLoss, check_outputs, full_precision
from lightning_dqn.system.numbers import check_finite, keep_plain, keep_whole

MOST_OUTSIDE_RANGE = 0.05
"""Share of the targets' probability outside the atoms above which there is a warning."""


@dataclass(frozen=True)
class CategoricalHead(Head):
    """C51: probabilities of fixed returns, Bellemare et al. 2017 (arxiv.org/abs/1707.06887).

    The loss is the Kullback-Leibler divergence from the projected target; its gradient is that
    of the paper's cross-entropy, and it is 0 when there is nothing left to learn.

    Args:
        num_atoms: N, returns evenly spaced from ``v_min`` to ``v_max``.
        v_min: the lowest discounted return.
        v_max: the highest discounted return.
    """

    judges_targets: ClassVar[bool] = True

    num_atoms: int = 51
    v_min: float = -100.0
    v_max: float = 100.0

    def __post_init__(self) -> None:
        keep_plain(self)
        keep_whole(self, num_atoms=2)
        check_finite(self, "v_min", "v_max")
        if not self.v_min < self.v_max:
            raise ValueError(f"v_min={self.v_min}: must lie below v_max={self.v_max}")

    @property
    def outputs_per_action(self) -> int:
        """Return the number of atoms."""
        return self.num_atoms

    def support(self, like: Tensor) -> Tensor:
        """Return the atoms, float[N], of the type and device of ``like``."""
        return torch.linspace(
            self.v_min, self.v_max, self.num_atoms, dtype=like.dtype, device=like.device
        )

    def distribution(self, output: Tensor) -> Tensor:
        """Return the probabilities of the atoms, float[B, A, N].

        Raises:
            ValueError: the output has another number of atoms.
        """
        check_outputs(output, self.num_atoms)
        return full_precision(output).softmax(dim=-1)

    def q_values(self, output: Tensor) -> Tensor:
        """Return the expected returns."""
        return self._mean(self.distribution(output))

    @property
    def largest_value(self) -> float:
        """Return the size of the atom farthest from 0."""
        return max(abs(self.v_min), abs(self.v_max))

    def judge_targets(self, reward: Tensor, discount: Tensor, bootstrap: Tensor) -> str | None:
        """Return a warning if the atoms don't cover the returns, which would fail silently."""
        share = float(self.share_outside(reward, discount, bootstrap))
        if share <= MOST_OUTSIDE_RANGE:
            return None
        return (
            f"v_min={self.v_min}, v_max={self.v_max}: {share:.0%} of what the returns may be "
            "lies beyond; widen the range of the head (value_range on the command line)"
        )

    def share_outside(self, reward: Tensor, discount: Tensor, bootstrap: Tensor) -> Tensor:
        """Return the share of the targets' probability outside the atoms, float[].

        Args:
            reward: float[B].
            discount: float[B].
            bootstrap: float[B, N], probabilities.
        """
        support = self.support(bootstrap)
        spacing = (self.v_max - self.v_min) / (self.num_atoms - 1)
        target = reward.unsqueeze(1) + discount.unsqueeze(1) * support
        outside = (target < self.v_min - spacing / 2) | (target > self.v_max + spacing / 2)
        return (bootstrap * outside).sum(dim=1).mean()

    def loss(
        self, prediction: Tensor, reward: Tensor, discount: Tensor, bootstrap: Tensor
    ) -> HeadLoss:
        """Return the divergence of the prediction from the projected target.

        Args:
            prediction: float[B, N], logits.
            reward: float[B].
            discount: float[B].
            bootstrap: float[B, N], probabilities.
        """
        support = self.support(bootstrap)
        target = td.categorical_projection(bootstrap, reward, discount, support)
        log_prediction = full_precision(prediction).log_softmax(dim=1)
        divergence = (torch.special.xlogy(target, target) - target * log_prediction).sum(dim=1)
        q_value = self._mean(log_prediction.exp())
        td_error = self._mean(target) - q_value
        return HeadLoss(divergence, q_value, td_error, divergence.clamp_min(0))

    def _mean(self, probabilities: Tensor) -> Tensor:
        return (probabilities * self.support(probabilities)).sum(dim=-1)
