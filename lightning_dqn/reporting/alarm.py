"""The alarm when learning breaks: noted where numbers lie, sounded when a look costs nothing.

Shapes: U updates, B batch, P parameters, C statistics.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from lightning_dqn.system import devices
from lightning_dqn.system.faults import NonFiniteError
from lightning_dqn.transitions import UpdateStatistics


class _First(NamedTuple):
    """The first update that wasn't finite, on the device that learns.

    Attributes:
        is_there: bool[], there was one; else the rest means nothing.
        counts: int64[2], its number and the env steps by the end of its iteration.
        statistics: float[C], :meth:`UpdateStatistics.stacked`.
        squares: float[P], the sums of squares of each parameter's gradient.
        priority: bool[], all its priorities were finite.
    """

    is_there: Tensor
    counts: Tensor
    statistics: Tensor
    squares: Tensor
    priority: Tensor


class Alarm:
    """Remembers the first update that wasn't finite until someone looks."""

    def __init__(self) -> None:
        self._first: _First | None = None

    def note(
        self,
        statistics: Tensor,
        priority: Tensor,
        squares: Tensor,
        *,
        updates: int,
        env_steps: int,
    ) -> None:
        """Note the updates of an iteration; nothing is read from an accelerator.

        Args:
            statistics: float[U, C], :meth:`UpdateStatistics.stacked` of each.
            priority: float[U, B].
            squares: float[U, P], the sums of squares of each parameter's gradient.
            updates: so far, these included.
            env_steps: so far.
        """
        fine_priority = torch.isfinite(priority).flatten(1).all(dim=1)
        is_wrong = ~(torch.isfinite(statistics).all(dim=1) & fine_priority)
        if devices.is_read_freely(is_wrong) and not bool(is_wrong.any()):
            return
        place = is_wrong.int().argmax()
        number = place + (updates - len(statistics) + 1)
        found = _First(
            is_there=is_wrong.any(),
            counts=torch.stack([number, torch.full_like(number, env_steps)]),
            statistics=statistics[place],
            squares=squares[place],
            priority=fine_priority[place],
        )
        old = self._first
        if old is None or old.squares.shape != found.squares.shape:  # others learn now
            self._first = found
        else:
            pairs = zip(old, found, strict=True)
            self._first = _First(*(torch.where(old.is_there, one, two) for one, two in pairs))

    def check(self, network: nn.Module) -> None:
        """Sound the alarm once if an update that was noted wasn't finite.

        Args:
            network: that learns, to name its parameters.

        Raises:
            NonFiniteError: naming the update, what it looked like, and where it began.
        """
        first, self._first = self._first, None
        if first is None or not bool(first.is_there):
            return
        number, env_steps = first.counts.tolist()
        statistics = UpdateStatistics.of(first.statistics.cpu()).present()
        text = ", ".join(f"{name} {value:g}" for name, value in statistics.items())
        raise NonFiniteError(
            f"update {number} (env step {env_steps}) was not finite: {text}; it began in "
            f"{_origin(first, network)}. The weights did not see it. Lower the learning rate or "
            "max_gradient_norm, or scale the rewards down"
        )


def _origin(first: _First, network: nn.Module) -> str:
    """Return what wasn't finite, before what follows from it."""
    statistics = UpdateStatistics.of(first.statistics)
    names = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
    wrong = (~torch.isfinite(first.squares)).nonzero().flatten().tolist()
    if not torch.isfinite(statistics.loss):
        return "the loss"
    if wrong:
        others = f" and of {len(wrong) - 1} more parameters" if len(wrong) > 1 else ""
        return f"the gradient of {names[wrong[0]]}{others}"
    if not torch.isfinite(statistics.gradient_norm):
        return "the sum of all gradients' squares, which is too large"
    return "what is told of it" if bool(first.priority) else "a priority"
