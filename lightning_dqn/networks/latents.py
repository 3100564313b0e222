"""Latents of a Q-network: the images that its convolutions make, read as values or projected.

    observation --preprocess, encoder--> latent --the rest of the torso, head--> values
                                         latent --first linear layer--> projection

As mila-iqia/spr has it, the projection is what the first hidden layer makes of a latent, without
noise and activation; with several such layers side by side, as of value and advantage, theirs
together. Nothing here has weights of its own.

Shapes: B batch, C channels, H height, W width, P projected features.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.networks.modes import in_evaluation_mode
from lightning_dqn.networks.q_network import QNetwork


class Latents:
    """Makes, reads and projects the latents of one network.

    Args:
        network: a Q-network built from a list of layers, or a copy of one.
        spec: of the observations.

    Attributes:
        shape: (C, H, W).
        projected: P.

    Raises:
        ValueError: it has no convolutions with a linear layer after them.
    """

    def __init__(self, network: nn.Module, spec: EnvironmentSpec) -> None:
        if not isinstance(network, QNetwork):
            raise _unfit(f"it is a {type(network).__name__}, not built from a list of layers")
        flattens = [n for n, layer in enumerate(network.torso) if isinstance(layer, nn.Flatten)]
        end = flattens[0] if flattens else len(network.torso)
        self.network = network
        torso = list(network.torso)
        self._encoder, self._rest = nn.Sequential(*torso[:end]), nn.Sequential(*torso[end:])
        device = next(network.parameters()).device
        with in_evaluation_mode(network), torch.no_grad():
            latent = self.encode(spec.example_observations(1).to(device))
        if latent.ndim != 4 or not any(True for _ in self._encoder.parameters()):
            raise _unfit("no convolutions stand before its first Flatten")
        self.shape = tuple(latent.shape[1:])
        self._hidden = _first_linear_layers(self._rest, network.head)
        if any(layer.in_features != latent[0].numel() for layer in self._hidden):
            raise _unfit("its first linear layer doesn't read the whole latent")
        if not self._hidden:
            raise _unfit("it has no hidden linear layer; set hidden, or head_hidden")
        self.projected = sum(layer.out_features for layer in self._hidden)

    def encode(self, observation: Tensor) -> Tensor:
        """Return latents, float[B, C, H, W].

        Args:
            observation: [B, *shape], or [B, S, *shape] with frame stacks.
        """
        return cast(Tensor, self._encoder(self.network.preprocess(observation)))

    def values(self, latent: Tensor) -> Any:
        """Return what the head reads, as the network does, of latents float[B, C, H, W]."""
        return self.network.head(self._rest(latent).flatten(1))

    def project(self, latent: Tensor) -> Tensor:
        """Return projections float[B, P] of latents float[B, C, H, W]."""
        flat = latent.flatten(1)
        parts = [nn.functional.linear(flat, one.weight, one.bias) for one in self._hidden]
        return torch.cat(parts, dim=1)


def _first_linear_layers(rest: nn.Sequential, head: nn.Module) -> list[nn.Linear]:
    """Return the torso's linear layer after the latent, else the hidden layers of the head."""
    of_torso = [layer for layer in rest if isinstance(layer, nn.Linear)]
    if of_torso:
        return of_torso[:1]
    hidden = []
    for module in head.modules():
        if isinstance(module, nn.Sequential) and len(module) == 3:  # linear_with_hidden
            first, activation, last = module
            kinds = (first, nn.Linear), (activation, nn.ReLU), (last, nn.Linear)
            if all(isinstance(layer, kind) for layer, kind in kinds):
                hidden.append(cast(nn.Linear, first))
    return hidden


def _unfit(reason: str) -> ValueError:
    return ValueError(
        f"network: {reason}; self-prediction needs convolutions and a hidden linear layer after "
        "them, as NatureCNN() or Impala() have; set self_prediction=None "
        "(module/self_prediction=none)"
    )
