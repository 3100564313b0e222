"""The simplest head: a value for each action.

Shapes: B batch, A actions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from lightning_dqn import td
from lightning_dqn.networks.heads.head import Head, HeadLoss, action_layer
from lightning_dqn.networks.layers import LinearFactory
from lightning_dqn.system.numbers import keep_plain


@dataclass(frozen=True)
class ScalarHead(Head):
    """One output per action: its expected return.

    Args:
        error: ``"mse"``, or ``"huber"``, whose gradient is the TD error clipped to
            +-``huber_threshold`` (Mnih et al. 2015).
        huber_threshold: where the Huber error turns from square to linear, in units of return.
    """

    outputs_per_action: ClassVar[int] = 1

    error: Literal["huber", "mse"] = "huber"
    huber_threshold: float = 1.0

    def __post_init__(self) -> None:
        keep_plain(self)
        if self.error not in ("huber", "mse"):
            raise ValueError(f"error={self.error!r}: choose 'huber' or 'mse'")
        if not self.huber_threshold > 0:
            raise ValueError(f"huber_threshold={self.huber_threshold}: must be above 0")

    def decoder(
        self, features: int, num_actions: int, *, dueling: bool, linear: LinearFactory = nn.Linear
    ) -> nn.Module:
        """Return the layer from features to float[B, A], without an axis N."""
        return action_layer(features, num_actions, 1, dueling, linear)

    def q_values(self, output: Tensor) -> Tensor:
        """Return the output itself, float[B, A]."""
        return output

    def loss(
        self, prediction: Tensor, reward: Tensor, discount: Tensor, bootstrap: Tensor
    ) -> HeadLoss:
        """Return the error of ``prediction`` against r + discount * bootstrap, float[B]."""
        td_error = td.td_target(reward, discount, bootstrap) - prediction
        if self.error == "mse":
            loss = td.squared_error(td_error)
        else:
            loss = td.huber_error(td_error, self.huber_threshold)
        return HeadLoss(loss, prediction, td_error, td_error.abs())
