"""Recycling dormant neurons: new incoming weights, outgoing weights of zero."""

from __future__ import annotations

from typing import Any, ClassVar, Unpack

import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor, nn

from lightning_dqn.callbacks.model_operation import CountedOperation
from lightning_dqn.callbacks.period import PeriodArguments
from lightning_dqn.dqn import DQN
from lightning_dqn.learning.optimizer_state import moments_of
from lightning_dqn.networks.chosen_layers import redrawn
from lightning_dqn.networks.q_network import QNetwork
from lightning_dqn.networks.units import (
    DORMANT_UP_TO,
    Units,
    dormant_scores,
    find_units,
    torso_outputs,
)
from lightning_dqn.system.numbers import finite_number

Entries = dict[Tensor, Tensor]
"""Which entries of parameters were changed, bool of their shapes."""


class ReDo(CountedOperation):
    """Recycles the torso's units that are nearly inactive on the newest minibatch.

    Sokar et al. 2023 (arxiv.org/abs/2302.12902), alg. 1. A unit is an output of a linear layer
    or a channel of a convolution, measured after the activation. One whose score is at most
    ``threshold`` gets new initial incoming weights; its outgoing weights, in the next layer or in
    all parts of the head that read it, become 0, and so do the optimizer's moments of these
    entries. If a unit was dead the network's output doesn't change; if a LayerNorm follows the
    layer, its other units are rescaled.

    Layers without such units are left out with one warning.

    Args:
        threshold: the score up to which a unit is dormant: its mean activation as a share of its
            layer's, see :func:`lightning_dqn.networks.units.dormant_scores`.
        period: see :class:`lightning_dqn.callbacks.ModelOperation`; by default every 1,000 updates.

    Attributes:
        dormant_fraction: share of all units that were dormant at the newest check, before they
            were recycled; NaN before the first.
    """

    default_period: ClassVar[int] = 1000
    alone_because: ClassVar[str] = (
        "each of several ranks would find other units dormant on its own part of a minibatch"
    )

    def __init__(
        self,
        *,
        threshold: float = DORMANT_UP_TO,
        **period: Unpack[PeriodArguments],
    ) -> None:
        if not finite_number("threshold", threshold) >= 0:
            raise ValueError(f"threshold={threshold}: at least 0")
        super().__init__(**period)
        self.threshold = threshold
        self.dormant_fraction = float("nan")
        self._units: list[Units] = []

    @property
    def state_key(self) -> str:
        """Key of this callback's state in a checkpoint."""
        return self._generate_state_key(start=self.period.start)

    def state_dict(self) -> dict[str, Any]:
        """Return what goes on."""
        return {**super().state_dict(), "dormant_fraction": self.dormant_fraction}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it back."""
        super().load_state_dict(state_dict)
        self.dormant_fraction = state_dict["dormant_fraction"]

    def join(self, module: DQN) -> None:
        """Find the units.

        Raises:
            ValueError: there are none.
        """
        super().join(module)
        if module.updates == 0:
            self.dormant_fraction = float("nan")
        observation = module.spec.example_observations(1).to(module.device)
        self._units, left_out = find_units(module.q_network, observation)
        if not self._units:
            raise ValueError(f"ReDo finds no units in the torso: {'; '.join(left_out) or 'empty'}")
        if left_out:
            rank_zero_warn(f"ReDo leaves out {'; '.join(left_out)}")

    @torch.no_grad()
    def act(self, module: DQN) -> None:
        """Recycle the units that are dormant."""
        network = module.q_network
        assert module.minibatch is not None
        assert isinstance(network, QNetwork)
        outputs = torso_outputs(network, module.minibatch.observation)
        dormant = [dormant_scores(outputs[u.activation]) <= self.threshold for u in self._units]
        self.dormant_fraction = float(torch.cat(dormant).float().mean())
        if self.dormant_fraction > 0:
            entries: Entries = {}
            self._renew_incoming(dormant, entries)
            self._zero_outgoing(dormant, entries)
            _forget_moments(module, entries)

    def _renew_incoming(self, dormant: list[Tensor], entries: Entries) -> None:
        layers = [layer for units in self._units for layer in units.incoming]
        drawn = dict(zip(layers, redrawn(layers, seed=self.seed_of_act()), strict=True))
        for units, mask in zip(self._units, dormant, strict=True):
            for layer in units.incoming:
                old = [*layer.parameters(), *layer.buffers()]
                new = [*drawn[layer].parameters(), *drawn[layer].buffers()]
                for tensor, fresh in zip(old, new, strict=True):
                    if tensor.shape[:1] == (units.number,):
                        _set(tensor, _along(mask, tensor, axis=0), fresh, entries)

    def _zero_outgoing(self, dormant: list[Tensor], entries: Entries) -> None:
        for units, mask in zip(self._units, dormant, strict=True):
            for weight in (p for reader in units.readers for p in reader.parameters()):
                if weight.ndim > 1:
                    inputs = mask.repeat_interleave(weight.shape[1] // units.number)
                    chosen = _along(inputs, weight, axis=1)
                    _set(weight, chosen, torch.zeros_like(weight), entries)


def _along(mask: Tensor, tensor: Tensor, *, axis: int) -> Tensor:
    """Spread ``mask`` over the other axes of ``tensor``."""
    shape = [1] * tensor.ndim
    shape[axis] = -1
    return mask.view(shape).expand_as(tensor)


def _set(tensor: Tensor, chosen: Tensor, values: Tensor, entries: Entries) -> None:
    tensor.copy_(torch.where(chosen, values, tensor))
    if isinstance(tensor, nn.Parameter):
        entries[tensor] = entries[tensor] | chosen if tensor in entries else chosen


def _forget_moments(module: DQN, entries: Entries) -> None:
    optimizer: Any = module.optimizers()
    for moment in moments_of(optimizer.optimizer, entries):
        if moment.value.shape == moment.parameter.shape:
            moment.value.masked_fill_(entries[moment.parameter], moment.first)
