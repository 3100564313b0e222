"""What a loss returns of a minibatch, and the gate that refuses what would broadcast.

Shapes: B batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor

from lightning_dqn.networks.heads.head import HeadLoss
from lightning_dqn.transitions import Transitions


class LossOutput(NamedTuple):
    """What :meth:`DQN.loss` returns.

    Attributes:
        loss: float[], what is minimised.
        td_error: float[B], target minus prediction.
        q_value: float[B], the value predicted for the chosen action.
        priority: float[B], how much there is to learn from each transition, at least 0;
            |td_error| if None.
        self_prediction: float[], mean error of predicted latents; None where there are none.
    """

    loss: Tensor
    td_error: Tensor
    q_value: Tensor
    priority: Tensor | None = None
    self_prediction: Tensor | None = None


Loss = Callable[[Transitions], LossOutput]

_OF_ALL = ("loss", "self_prediction")
"""What a :class:`LossOutput` has once for the whole minibatch."""


def check_each(
    who: str, given: Any, kind: type[LossOutput] | type[HeadLoss], batch: Transitions
) -> None:
    """Refuse what would broadcast over a minibatch without a word, or is made of something else.

    Args:
        who: gave it, for the message.
        given: what it gave.
        kind: that it is to be.
        batch: columns [B, ...]; its weights are looked at too.

    Raises:
        ValueError: naming the value, its shape and the one that is expected.
    """
    if not isinstance(given, kind):
        raise ValueError(
            f"{who}: returns a {type(given).__name__}; return {kind.__name__}"
            f"({', '.join(kind._fields)})"
        )
    size = tuple(batch.action.shape)
    for name, value in zip(kind._fields, given, strict=True):
        expected = () if kind is LossOutput and name in _OF_ALL else size
        if value is not None and tuple(value.shape) != expected:
            raise ValueError(
                f"{who}: {name} has the shape {tuple(value.shape)}, expected {expected} for a "
                f"minibatch of {size[0]}"
            )
    if batch.weight is not None and tuple(batch.weight.shape) != size:
        raise ValueError(
            f"sampler: weight has the shape {tuple(batch.weight.shape)} in a minibatch, expected "
            f"{size}"
        )
