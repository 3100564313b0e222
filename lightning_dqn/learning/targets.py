"""Targets of predictions: r + discount * V(s'), and which network values s'.

Shapes: B batch, A actions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from torch import Tensor, nn

from lightning_dqn import td
from lightning_dqn.networks.heads.head import Head
from lightning_dqn.system.numbers import check_finite, keep_plain, keep_switches
from lightning_dqn.transitions import Transitions


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
    """Munchausen targets: the scaled log-policy is added to the reward.

    Vieillard et al. 2020 (arxiv.org/abs/2007.14430), eqs. 1 and 2.

    Args:
        alpha: share of the scaled log-policy that is added to the reward; 0 is soft DQN.
        temperature: tau of the softmax policy, in units of return.
        lower_bound: least value of the scaled log-policy, temperature * log pi(a|s), which is
            clipped there.
    """

    alpha: float = 0.9
    temperature: float = 0.03
    lower_bound: float = -1.0

    def __post_init__(self) -> None:
        keep_plain(self)
        check_finite(self, "alpha", "temperature")
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha={self.alpha}: between 0 and 1")
        if not self.temperature > 0:
            raise ValueError(f"temperature={self.temperature}: must be above 0")
        if not self.lower_bound <= 0:
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
        """Return the policy in the next state and its entropy bonus.

        Args:
            q_values: float[B, A] of the next state.
            action_mask: bool[B, A], the legal actions there, or None.
        """
        policy, log_policy = td.softmax_policy(q_values, self.temperature, action_mask)
        return SoftNext(policy, -self.temperature * (policy * log_policy).sum(dim=1))


@dataclass(frozen=True)
class Target:
    """Which network values the next state, and what is added to the reward.

    Args:
        double: the online network chooses the next action, the slow copy values it (van Hasselt
            et al. 2016, arxiv.org/abs/1509.06461).
        slow_copy: value the next state by a slower copy of the Q-network, the target network, which
            a callback moves; False: by the online network.
        munchausen: add the scaled log-policy to the reward and learn the values of a softmax
            policy, with ``double`` the online network's. None: learn those of the greedy policy.

    Raises:
        ValueError: ``double`` without a second network.
    """

    double: bool = True
    slow_copy: bool = True
    munchausen: Munchausen | None = None

    def __post_init__(self) -> None:
        keep_switches(self, "double", "slow_copy")
        if not self.munchausen:  # the empty node that Hydra's instantiate makes of an empty file
            object.__setattr__(self, "munchausen", None)
        if self.double and not self.slow_copy:
            raise ValueError(
                "double=True: without a target network one network would choose the next action "
                "and value it; set double=False"
            )

    @classmethod
    def of(cls, target: Target | Mapping[str, Any] | None) -> Target:
        """Return a target from any of the forms that are accepted.

        Raises:
            ValueError: it is none of them.
        """
        if target is None:
            return cls()
        if isinstance(target, cls):
            return target
        if not isinstance(target, Mapping):
            raise ValueError(f"target={target!r}: expected a Target, or a mapping of its arguments")
        munchausen = target.get("munchausen")
        if isinstance(munchausen, Mapping):
            munchausen = Munchausen(**munchausen)
        return cls(**{**target, "munchausen": munchausen})

    def refuse_whole_targets(self) -> None:
        """Refuse settings without effect for transitions that come with their whole targets.

        Raises:
            ValueError: it names the argument.
        """
        settings = (
            ("munchausen", self.munchausen, None, "module/target/munchausen=none"),
            ("double", self.double, False, "module.target.double=false"),
        )
        for name, value, without, key in settings:
            if value != without:
                raise ValueError(
                    f"{name}={value}: lambda-returns hold the greedy value of the next states "
                    f"already, so it would be without effect; set {name}={without} ({key}), or "
                    "choose another sampler"
                )

    def to_plain(self) -> dict[str, Any]:
        """Return plain values, which :meth:`of` takes back."""
        return asdict(self)

    def __call__(
        self, batch: Transitions, output: Any, *, online: nn.Module, slow: nn.Module, head: Head
    ) -> tuple[Tensor, Any]:
        """Return the reward, with what is added to it, and the next state's value.

        Args:
            batch: columns [B, ...].
            output: the online network's for ``batch.observation``.
            online: the network that learns.
            slow: the one that values the next state.
            head: reads their output.

        Returns:
            float[B], and what ``head.loss`` takes as bootstrap.
        """
        if batch.next_observation is None:  # the reward is the whole target, the discount 0
            if self.munchausen is not None:
                raise ValueError(
                    "munchausen: lambda-returns hold the greedy value of the next states already; "
                    "sample transitions from the replay ring instead"
                )
            return batch.reward, head.select(head.distribution(output), batch.action)
        next_output = slow(batch.next_observation)
        chooser = online(batch.next_observation) if self.double else next_output
        next_q_values = head.q_values(chooser)
        if self.munchausen is None:
            next_action = td.greedy_action(next_q_values, batch.next_action_mask)
            return batch.reward, head.select(head.distribution(next_output), next_action)
        q_values = head.q_values(slow(batch.observation))
        bonus = self.munchausen.reward_bonus(q_values, batch.action, batch.action_mask)
        following = self.munchausen.soft_next(next_q_values, batch.next_action_mask)
        reward = batch.reward + bonus + batch.discount * following.entropy_bonus
        return reward, head.mix(next_output, following.policy)
