"""Shrinking weights toward new initial ones: weights <- shrink * weights + (1 - shrink) * new."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Unpack

from torch import nn

from lightning_dqn.callbacks.model_operation import CountedOperation
from lightning_dqn.callbacks.period import PeriodArguments
from lightning_dqn.dqn import DQN
from lightning_dqn.networks import operations
from lightning_dqn.networks.alignment import align
from lightning_dqn.networks.chosen_layers import layers_with_weights, redrawn
from lightning_dqn.networks.parts import Part, check_part
from lightning_dqn.system.numbers import finite_number


class ShrinkAndPerturb(CountedOperation):
    """Moves layers part of the way to new initial weights, periodically.

    Ash & Adams 2020 (arxiv.org/abs/1910.08475), on Q-networks as in D'Oro et al. 2023
    (openreview.net/forum?id=OpC-9aBBVJe). The perturbation is a fresh draw of the layer's own
    initial weights; the optimizer's moments of layers that learn are reset. Copies among
    ``networks`` move toward the same draw.

    Args:
        shrink: share of the old weights that stays, from 0 to 1.
        include: a regular expression searched in the names of layers that have weights, such as
            ``torso.0`` or ``head``; None takes all.
        exclude: a regular expression; layers in whose names it is found are left alone.
        part: ``"encoder"``, the layers before the first Flatten or linear one, or
            ``"after_encoder"``, the others, whatever their names; None takes both.
        networks: whose layers: ``q_network`` and optionally copies such as ``target_network``, and
            ``self_prediction``, which predicts latents.
        period: see :class:`lightning_dqn.callbacks.ModelOperation`; by default every 40,000
            updates.
    """

    default_period: ClassVar[int] = 40_000

    def __init__(
        self,
        *,
        shrink: float = 0.8,
        include: str | None = None,
        exclude: str | None = None,
        part: Part | None = None,
        networks: Sequence[str] = ("q_network",),
        **period: Unpack[PeriodArguments],
    ) -> None:
        if not 0 <= finite_number("shrink", shrink) <= 1:
            raise ValueError(f"shrink={shrink}: must lie between 0 and 1")
        if isinstance(networks, str) or not networks:
            raise ValueError(f"networks={networks!r}: expected a list of names of networks")
        check_part(part)
        super().__init__(**period)
        self.shrink = shrink
        self.include = include
        self.exclude = exclude
        self.part = part
        self.networks = tuple(networks)

    @property
    def state_key(self) -> str:
        """Key of this callback's state in a checkpoint, one for each choice of layers."""
        return self._generate_state_key(
            include=self.include,
            exclude=self.exclude,
            **({"part": self.part} if self.part else {}),
            networks=self.networks,
            start=self.period.start,
        )

    def join(self, module: DQN) -> None:
        """Check that all layers can be re-initialised.

        Raises:
            ValueError: one can't, none is chosen, or a network doesn't exist.
        """
        super().join(module)
        known = [*module.learning_networks, *module.agent.copies]
        for network in self.networks:
            if network not in known:
                raise ValueError(f"networks={list(self.networks)}: choose among {known}")
            redrawn(self._layers(module, network), seed=0)

    def act(self, module: DQN) -> None:
        """Move the layers, and forget the moments of those that learn."""
        seed = self.seed_of_act()
        for network in self.networks:
            layers = self._layers(module, network)
            pair = align(
                nn.ModuleList(layers),
                nn.ModuleList(redrawn(layers, seed=seed)),
                # Statistics as BatchNorm's describe activations: they start anew or stay.
                buffers="copy" if self.shrink == 0 else "skip",
            )
            operations.lerp(pair, weight=1 - self.shrink)
            if network in module.learning_networks:
                module.forget_moments(p for layer in layers for p in layer.parameters())

    def _layers(self, module: DQN, network: str) -> list[nn.Module]:
        learning = module.learning_networks
        layers = layers_with_weights(
            learning[network] if network in learning else module.agent.get_submodule(network),
            include=self.include,
            exclude=self.exclude,
            part=self.part,
        )
        return list(layers.values())
