"""Freezing layers for a while."""

from __future__ import annotations

from typing import Literal

from torch import nn

from lightning_dqn.callbacks.model_operation import ModelOperation
from lightning_dqn.dqn import DQN
from lightning_dqn.networks.chosen_layers import layers_with_weights
from lightning_dqn.networks.parts import Part, check_part


class FreezeLayers(ModelOperation):
    """Keeps layers of the Q-network from learning while ``start <= count < until``.

    The optimizer neither sees nor moves frozen weights, whatever its momentum and weight decay,
    and continues with its moments when they thaw. Their gradients aren't computed, so updates are
    cheaper. Buffers such as BatchNorm's statistics are still updated, and other operations may
    still change the weights. Layers frozen by several of these callbacks thaw with the last one.

    Args:
        include: a regular expression searched in the names of layers that have weights, such as
            ``torso.0`` or ``head``; None takes all.
        exclude: a regular expression; layers in whose names it is found continue to learn.
        part: ``"encoder"``, the layers before the first Flatten or linear one, or
            ``"after_encoder"``, the others, whatever their names; None takes both.
        start: the count from which they are frozen, in ``unit``; 0: from the first update.
        until: the count from which they learn again; None: not within this fit.
        unit: what ``start`` and ``until`` count: ``"updates"`` or ``"env_steps"``.
    """

    def __init__(
        self,
        *,
        include: str | None = None,
        exclude: str | None = None,
        part: Part | None = None,
        start: int = 0,
        until: int | None = None,
        unit: Literal["updates", "env_steps"] = "updates",
    ) -> None:
        if unit not in ("updates", "env_steps"):
            raise ValueError(f"unit={unit!r}: choose updates or env_steps")
        check_part(part)
        super().__init__(
            every_n_updates=1 if unit == "updates" else None,
            every_n_env_steps=1 if unit == "env_steps" else None,
            start=start,
            until=until,
        )
        self.include = include
        self.exclude = exclude
        self.part = part
        self._held: list[nn.Parameter] | None = None

    @property
    def state_key(self) -> str:
        """Key of this callback, one for each choice of layers and counts."""
        return self._generate_state_key(
            include=self.include,
            exclude=self.exclude,
            **({"part": self.part} if self.part else {}),
            start=self.period.start,
            until=self.period.until,
        )

    def join(self, module: DQN) -> None:
        """Freeze what is to be frozen at this count, which a checkpoint may have brought.

        Raises:
            ValueError: no layer is chosen, or nothing would be left to learn.
        """
        self._chosen(module)
        self._held = None
        if self.period.is_in_window(self.period.count(module)):
            self._freeze(module)
            if not any(p.requires_grad for p in module.q_network.parameters()):
                self._thaw(module)
                raise ValueError(
                    f"include={self.include!r}, exclude={self.exclude!r}: every parameter of "
                    "q_network is frozen, nothing is left to learn"
                )

    def leave(self, module: DQN) -> None:
        """Thaw."""
        self._thaw(module)

    def operate(self, module: DQN) -> None:
        """Freeze; called inside the window only."""
        if self._held is None:
            self._freeze(module)
            module.refresh_trainable()

    def __call__(self, module: DQN) -> None:
        """Freeze or thaw when the time has come; called after every update."""
        super().__call__(module)
        if self._held is not None and not self.period.is_in_window(self.period.count(module)):
            self._thaw(module)
            module.refresh_trainable()

    def _freeze(self, module: DQN) -> None:
        by_others = _held_by_others(self, module)
        self._held = [p for p in self._chosen(module) if p.requires_grad or p in by_others]
        for parameter in self._held:
            parameter.requires_grad_(False)

    def _thaw(self, module: DQN) -> None:
        by_others = _held_by_others(self, module)
        for parameter in self._held or ():
            parameter.requires_grad_(parameter not in by_others)
        self._held = None

    def _chosen(self, module: DQN) -> list[nn.Parameter]:
        layers = layers_with_weights(
            module.q_network, include=self.include, exclude=self.exclude, part=self.part
        )
        return [p for layer in layers.values() for p in layer.parameters(recurse=False)]


def _held_by_others(callback: FreezeLayers, module: DQN) -> set[nn.Parameter]:
    others = (o for o in module.after_update if isinstance(o, FreezeLayers) and o is not callback)
    return {parameter for other in others for parameter in other._held or ()}
