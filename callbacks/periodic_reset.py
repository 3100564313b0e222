"""New initial weights for layers, periodically."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Unpack

from lightning_dqn.callbacks.period import PeriodArguments
from lightning_dqn.callbacks.shrink_and_perturb import ShrinkAndPerturb
from lightning_dqn.dqn import DQN
from lightning_dqn.networks.parts import Part
from lightning_dqn.system.numbers import whole_number


class PeriodicReset(ShrinkAndPerturb):
    """Gives layers new initial weights, against the primacy bias.

    Nikishin et al. 2022 (arxiv.org/abs/2205.07802): what was learned early from little data is
    dropped, while the replay ring is kept. They reset all of a small network, or the last layers
    of a deep one (``part="after_encoder"``). This is :class:`ShrinkAndPerturb` with ``shrink=0``;
    buffers such as BatchNorm's statistics are reset too.

    Args:
        include: a regular expression searched in the names of layers that have weights, such as
            ``torso.0`` or ``head``; None takes all.
        exclude: a regular expression; layers in whose names it is found are left alone.
        part: ``"encoder"``, the layers before the first Flatten or linear one, or
            ``"after_encoder"``, the others, whatever their names; None takes both.
        networks: whose layers: ``q_network`` and optionally copies such as ``target_network``,
            which get the same new weights, and ``self_prediction``, which predicts latents.
        max_resets: most resets in all; None: no limit.
        period: see :class:`lightning_dqn.callbacks.ModelOperation`; by default every 20,000
            updates.
    """

    default_period: ClassVar[int] = 20_000

    def __init__(
        self,
        *,
        include: str | None = None,
        exclude: str | None = None,
        part: Part | None = None,
        networks: Sequence[str] = ("q_network",),
        max_resets: int | None = None,
        **period: Unpack[PeriodArguments],
    ) -> None:
        super().__init__(
            shrink=0.0,
            include=include,
            exclude=exclude,
            part=part,
            networks=networks,
            **period,
        )
        self.max_resets = None if max_resets is None else whole_number("max_resets", max_resets)

    def operate(self, module: DQN) -> None:
        """Reset, unless it was done often enough."""
        if self.max_resets is None or self.times_acted < self.max_resets:
            super().operate(module)
