"""How a network's output stands for action values, and what its error is.

A head is a small object without weights: the network has ``outputs_per_action`` outputs for
each action, the head reads them. Shapes: B batch, A actions, N outputs per action.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

from torch import Tensor

from lightning_dqn import td


class Head(Protocol):
    """What the learner asks of a head."""

    @property
    def outputs_per_action(self) -> int:
        """Return N, how many outputs of the network belong to one action."""
        ...

    def q_values(self, output: Tensor) -> Tensor:
        """Return the action values float[B, A] that the network's output stands for."""
        ...

    def loss(
        self, prediction: Tensor, reward: Tensor, discount: Tensor, bootstrap: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the loss and the TD error of each transition, float[B] both.

        Args:
            prediction: the online output of the chosen action, float[B] or float[B, N].
            reward: float[B].
            discount: float[B].
            bootstrap: the target output of the next action, like ``prediction``.
        """
        ...


@dataclass(frozen=True)
class ScalarHead:
    """One output per action: its expected return.

    Args:
        error: ``"mse"``, or ``"huber"``, whose gradient is the TD error clipped to
            +-``huber_threshold`` (Mnih et al. 2015).
        huber_threshold: where the Huber error turns from square to linear, in units of return.
    """

    outputs_per_action: ClassVar[int] = 1

    error: Literal["huber", "mse"] = "mse"
    huber_threshold: float = 1.0

    def __post_init__(self) -> None:
        if self.error not in ("huber", "mse"):
            raise ValueError(f"error={self.error!r}: choose 'huber' or 'mse'")
        if self.huber_threshold <= 0:
            raise ValueError(f"huber_threshold={self.huber_threshold}: must be above 0")

    def q_values(self, output: Tensor) -> Tensor:
        """Return the output itself, float[B, A]."""
        return output

    def loss(
        self, prediction: Tensor, reward: Tensor, discount: Tensor, bootstrap: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the error of ``prediction`` against r + discount * bootstrap, float[B]."""
        td_error = td.td_target(reward, discount, bootstrap) - prediction
        if self.error == "mse":
            return td.squared_error(td_error), td_error
        return td.huber_error(td_error, self.huber_threshold), td_error


_HEADS = {"ScalarHead": ScalarHead}


def head_to_plain(head: Head) -> dict[str, Any] | str:
    """Return a head of this file as plain values, one of the user's own as its name."""
    name = type(head).__name__
    if _HEADS.get(name) is not type(head):
        return name
    return {name: dataclasses.asdict(head)}


def head_from_plain(plain: Mapping[str, Any]) -> Head:
    """Make the head that :func:`head_to_plain` described.

    Raises:
        ValueError: no head has that name.
    """
    [(name, arguments)] = plain.items()
    if name not in _HEADS:
        raise ValueError(f"head={name!r}: choose one of {sorted(_HEADS)}")
    return _HEADS[name](**arguments)
