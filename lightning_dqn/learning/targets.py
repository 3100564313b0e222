"""Munchausen reinforcement learning: the agent is rewarded for being sure of its action.

Shapes: B batch, A actions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from lightning_dqn import td


class SoftNext(NamedTuple):
    """The next state under a softmax policy.

    Attributes:
        policy: float[B, A].
        entropy_bonus: float[B], temperature times the policy's entropy, at least 0.
    """

    policy: Tensor
    entropy_bonus: Tensor


@dataclass(frozen=True)
class Munchausen:
    """Vieillard et al. 2020 (arxiv.org/abs/2007.14430), eqs. 1 and 2.

    Args:
        alpha: share of the scaled log-policy that is added to the reward; 0 is soft DQN.
        temperature: tau of the softmax policy, in units of return.
        lower_bound: the scaled log-policy, temperature * log pi(a|s), is not let fall below it.
    """

    alpha: float = 0.9
    temperature: float = 0.03
    lower_bound: float = -1.0

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha={self.alpha}: between 0 and 1")
        if self.temperature <= 0:
            raise ValueError(f"temperature={self.temperature}: must be above 0")
        if self.lower_bound > 0:
            raise ValueError(f"lower_bound={self.lower_bound}: at most 0")

    def reward_bonus(self, q_values: Tensor, action: Tensor, action_mask: Tensor | None) -> Tensor:
        """Return alpha * max(lower_bound, temperature * log pi(a|s)), float[B].

        Args:
            q_values: float[B, A] of the state in which the action was taken.
            action: int64[B].
            action_mask: bool[B, A], the legal actions there, or None.
        """
        _, log_policy = td.softmax_policy(q_values, self.temperature, action_mask)
        scaled = self.temperature * td.select_action(log_policy, action)
        return self.alpha * scaled.clamp(self.lower_bound, 0.0)

    def soft_next(self, q_values: Tensor, action_mask: Tensor | None) -> SoftNext:
        """Return the policy in the next state and what its entropy is worth.

        Args:
            q_values: float[B, A] of the next state.
            action_mask: bool[B, A], the legal actions there, or None.
        """
        policy, log_policy = td.softmax_policy(q_values, self.temperature, action_mask)
        return SoftNext(policy, -self.temperature * (policy * log_policy).sum(dim=1))
