"""A DQN by flat switches: tests turn them one by one and in every combination."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lightning_dqn import DQN
from lightning_dqn.learning.targets import Target
from lightning_dqn.networks.torsos import MLP, Layers, Network

OF_NETWORK = ("dueling", "noisy", "noisy_sigma", "layer_norm", "head_hidden")
OF_TARGET = ("double", "slow_copy", "munchausen")


def switched_dqn(environment: Any, *, kind: type[DQN] = DQN, **switches: Any) -> DQN:
    """Return a DQN; what belongs to network and target is given as if it were the DQN's.

    Args:
        environment: see :class:`DQN`.
        kind: a subclass.
        switches: arguments of the DQN, of its network and of its target.
    """
    of_network = {name: switches.pop(name) for name in OF_NETWORK if name in switches}
    of_target = {name: switches.pop(name) for name in OF_TARGET if name in switches}
    if of_network:
        switches["network"] = _with_options(switches.get("network"), of_network)
    if of_target:
        switches["target"] = Target.of(of_target)
    return kind(environment, **switches)


def _with_options(layers: Any, options: dict[str, Any]) -> Network:
    if isinstance(layers, Network):
        return replace(layers, **options)  # type: ignore[type-var]
    return MLP(**options) if layers is None else Layers(layers=layers, **options)
