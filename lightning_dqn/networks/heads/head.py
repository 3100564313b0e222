"""What a head is: how a network's output represents action values, and its error.

A head makes the network's last layers and reads their output: it holds settings, never weights.
Shapes: B batch, A actions, N outputs per action.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from lightning_dqn import td
from lightning_dqn.networks.layers import DuelingHead, LinearFactory


class HeadLoss(NamedTuple):
    """What :meth:`Head.loss` returns.

    Attributes:
        loss: float[B], what is minimised.
        q_value: float[B], the predicted expected return.
        td_error: float[B], the target's expected return minus ``q_value``.
        priority: float[B], how much there is to learn from each transition, at least 0.
    """

    loss: Tensor
    q_value: Tensor
    td_error: Tensor
    priority: Tensor


class Head(ABC):
    """Interface of heads; a network's output is a tensor unless the head says otherwise."""

    judges_targets: ClassVar[bool] = False
    """Whether :meth:`judge_targets` may have something to say."""

    @property
    def largest_value(self) -> float:
        """Return the largest size of what values are computed from; 0 if that is their own size."""
        return 0.0

    def judge_targets(self, reward: Tensor, discount: Tensor, bootstrap: Any) -> str | None:
        """Return what is wrong with the targets of a minibatch; None if nothing is.

        Args:
            reward: float[B].
            discount: float[B].
            bootstrap: as for :meth:`loss`.
        """
        return None

    def share_outside(self, reward: Tensor, discount: Tensor, bootstrap: Any) -> Tensor | None:
        """Return the share of the targets' probability that the head can't represent.

        float[], or None if it can represent any value.

        Args:
            reward: float[B].
            discount: float[B].
            bootstrap: as for :meth:`loss`.
        """
        return None

    @property
    @abstractmethod
    def outputs_per_action(self) -> int:
        """Return N, how many outputs of the network belong to one action."""

    @abstractmethod
    def q_values(self, output: Any) -> Tensor:
        """Return the action values, float[B, A], that the network's output represents."""

    @abstractmethod
    def loss(self, prediction: Any, reward: Tensor, discount: Tensor, bootstrap: Any) -> HeadLoss:
        """Return the error of a prediction against r + discount * bootstrap.

        Args:
            prediction: the online network's output for the chosen action, see :meth:`select`.
            reward: float[B].
            discount: float[B].
            bootstrap: the target network's output for the next state's value, see :meth:`mix`.
        """

    def decoder(
        self, features: int, num_actions: int, *, dueling: bool, linear: LinearFactory = nn.Linear
    ) -> nn.Module:
        """Return the layers from features float[B, F] to the output.

        Args:
            features: F.
            num_actions: A.
            dueling: split into value and advantage.
            linear: makes the linear layers.
        """
        layer = action_layer(features, num_actions, self.outputs_per_action, dueling, linear)
        return nn.Sequential(layer, nn.Unflatten(1, (num_actions, self.outputs_per_action)))

    def select(self, output: Any, action: Tensor) -> Any:
        """Return the output for the chosen actions, int64[B], without the axis A."""
        return td.select_action(output, action)

    def distribution(self, output: Any) -> Any:
        """Return the output in a form whose averages are those of the values."""
        return output

    def mix(self, output: Any, policy: Tensor) -> Any:
        """Return the next state's value under a policy, averaged over the axis A.

        Args:
            output: of the network.
            policy: float[B, A], probabilities of the actions.
        """
        values = self.distribution(output)
        weights = policy if values.ndim == 2 else policy.unsqueeze(2)
        return (weights * values).sum(dim=1)


def action_layer(
    features: int, num_actions: int, outputs_per_action: int, dueling: bool, linear: LinearFactory
) -> nn.Module:
    """Return the layer from features float[..., F] to float[..., A*N]."""
    if dueling:
        return DuelingHead(features, num_actions, outputs_per_action, linear)
    return linear(features, num_actions * outputs_per_action)


def full_precision(output: Tensor) -> Tensor:
    """Return at least float32: half precision can't resolve atoms or fractions."""
    return output if output.dtype == torch.float64 else output.float()


def check_outputs(output: Tensor, outputs_per_action: int) -> None:
    """Refuse the output of a user's own network that would broadcast silently."""
    if output.ndim != 3 or output.shape[2] != outputs_per_action:
        raise ValueError(
            f"the output has the shape {tuple(output.shape)}; the head reads "
            f"(B, A, {outputs_per_action})"
        )
