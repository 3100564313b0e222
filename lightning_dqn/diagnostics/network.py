"""The state of the networks: sizes of weights and gradients, distance to the target, silence.

Shapes: B batch, L layers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from lightning_dqn.diagnostics.percentiles import percentiles
from lightning_dqn.dqn import DQN
from lightning_dqn.networks.alignment import Aligned, align
from lightning_dqn.networks.q_network import QNetwork
from lightning_dqn.networks.units import DORMANT_UP_TO, Units, dormant_scores, torso_outputs

MOST_LAYERS = 24
"""Layers up to which each is told of by itself; of more, percentiles are."""


@torch.no_grad()
def network_diagnostics(
    module: DQN, observation: Tensor, units: Sequence[Units]
) -> dict[str, Tensor]:
    """Return how the networks are, under keys of the glossary.

    Args:
        module: whose newest gradients stand in ``.grad``.
        observation: [B, ...], on its device.
        units: of its Q-network; empty where none are known.
    """
    network = module.q_network
    found = _of_layers("network/weight_norm", layer_norms(layer_weights(network)))
    found |= _of_layers("network/gradient_norm", layer_norms(layer_gradients(network)))
    if module.target.slow_copy:
        aligned = align(network, module.target_network, buffers="skip")
        found["network/target_distance"] = relative_distance(aligned)
    if units and isinstance(network, QNetwork):
        found["network/dormant_units"] = dormant_share(network, units, observation)
    return found


def layer_weights(network: nn.Module) -> dict[str, list[Tensor]]:
    """Return the parameters of each layer that has some of its own, by its name."""
    layers = {
        name or type(network).__name__: list(layer.parameters(recurse=False))
        for name, layer in network.named_modules()
    }
    return {name: [p.detach() for p in tensors] for name, tensors in layers.items() if tensors}


def layer_gradients(network: nn.Module) -> dict[str, list[Tensor]]:
    """Return the gradients that stand in ``.grad``, of each layer that has some, by its name.

    They are the newest update's, clipped as the optimizer got them.
    """
    layers = {
        name or type(network).__name__: [
            p.grad for p in layer.parameters(recurse=False) if p.grad is not None
        ]
        for name, layer in network.named_modules()
    }
    return {name: tensors for name, tensors in layers.items() if tensors}


def layer_norms(layers: Mapping[str, Sequence[Tensor]]) -> dict[str, Tensor]:
    """Return the L2 norm of each layer's tensors together, float[] each.

    Healthy: weights grow slowly and settle; gradients of all layers are of about one size and
    none is 0. Weights that grow without end lose plasticity (Lyle et al. 2024,
    arxiv.org/abs/2402.18762).
    """
    if not layers:
        return {}
    sizes = iter(torch._foreach_norm([t for tensors in layers.values() for t in tensors]))
    return {
        name: torch.stack([next(sizes).float() for _ in tensors]).norm()
        for name, tensors in layers.items()
    }


def relative_distance(aligned: Aligned) -> Tensor:
    """Return |online - target| / |online| of all weights together, L2 norms.

    Healthy: small and steady where the target follows slowly, a saw where it is copied; growing,
    the online network runs away.

    Args:
        aligned: the online network's tensors, and the target network's.

    Returns:
        float[]; NaN where all weights are 0.
    """
    online, target = aligned.tensors
    apart = torch._foreach_norm(torch._foreach_sub(online, target))
    return torch.stack(apart).norm() / torch.stack(torch._foreach_norm(online)).norm()


def dormant_share(network: QNetwork, units: Sequence[Units], observation: Tensor) -> Tensor:
    """Return the share of units that are all but silent on a minibatch.

    Those whose score, eq. 1 of Sokar et al. 2023 (arxiv.org/abs/2302.12902), is at most 0.025,
    as :class:`lightning_dqn.callbacks.ReDo` counts them. Healthy: low and steady; growing, the
    network loses what it could learn with.

    Args:
        network: it is looked at in evaluation mode.
        units: at least one layer's.
        observation: [B, ...].

    Returns:
        float[].
    """
    outputs = torso_outputs(network, observation)
    scores = torch.cat([dormant_scores(outputs[u.activation]) for u in units])
    return (scores <= DORMANT_UP_TO).float().mean()


def _of_layers(key: str, norms: Mapping[str, Tensor]) -> dict[str, Tensor]:
    if len(norms) > MOST_LAYERS:
        return percentiles(key, torch.stack(list(norms.values())))
    return {f"{key}/{name}": norm for name, norm in norms.items()}
