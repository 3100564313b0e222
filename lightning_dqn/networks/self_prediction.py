"""Self-prediction: a network predicts its own latents of the steps to come.

Schwarzer et al. 2021 (arxiv.org/abs/2007.05929), sec. 2. An encoder makes latents of frames; from
the first one a transition model predicts those that the actions taken lead to; what a projection
and a prediction make of them is held against the projection of the latents that came:

    frames      s_t ------ s_t+1 ------ s_t+2          encoder
    latents     z_t        z'_t+1       z'_t+2         of the target encoder, constant
    predicted   z_t --a_t-> z^_t+1 --a_t+1-> z^_t+2    transition model

Shapes: B batch, K steps predicted, C channels, H height, W width, P projected features.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def renormalised(latent: Tensor) -> Tensor:
    """Return latents scaled to [0, 1] by the least and the largest of each, [B, ...]."""
    flat = latent.flatten(1)
    least, largest = flat.amin(dim=1, keepdim=True), flat.amax(dim=1, keepdim=True)
    return ((flat - least) / (largest - least + 1e-5)).view_as(latent)


class Renormalise(nn.Module):
    """Scale latents to [0, 1], as a layer of the torso; see :func:`renormalised`."""

    def forward(self, latent: Tensor) -> Tensor:
        """Return float[B, ...]."""
        return renormalised(latent)


class TransitionModel(nn.Module):
    """Two convolutions from a latent and an action to the next latent.

    The action stands beside the channels, as a plane of ones among planes of zeros.

    Args:
        channels: C.
        num_actions: A.
    """

    def __init__(self, channels: int, num_actions: int) -> None:
        super().__init__()
        self.num_actions = num_actions
        self.first = nn.Conv2d(channels + num_actions, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, latent: Tensor, action: Tensor) -> Tensor:
        """Return the next latent, renormalised, float[B, C, H, W].

        Args:
            latent: float[B, C, H, W].
            action: int64[B].
        """
        chosen = nn.functional.one_hot(action, self.num_actions).to(latent.dtype)
        planes = chosen[:, :, None, None].expand(-1, -1, *latent.shape[2:])
        hidden = torch.relu(self.first(torch.cat([latent, planes], dim=1)))
        return renormalised(torch.relu(self.second(hidden)))

    def rollout(self, latent: Tensor, action: Tensor) -> Tensor:
        """Return the latents of the next K steps, float[B, K, C, H, W].

        Args:
            latent: float[B, C, H, W], of the first step.
            action: int64[B, K], taken from there on.
        """
        latents = []
        for taken in action.unbind(1):
            latent = self(latent, taken)
            latents.append(latent)
        return torch.stack(latents, dim=1)


class SelfPrediction(nn.Module):
    """What self-prediction learns beside the encoder and the projection of the Q-network.

    Args:
        channels: C.
        num_actions: A.
        projected: P.
    """

    def __init__(self, channels: int, num_actions: int, projected: int) -> None:
        super().__init__()
        self.transition = TransitionModel(channels, num_actions)
        self.prediction = nn.Linear(projected, projected)

    def forward(
        self, latent: Tensor, action: Tensor, projection: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Return the predicted projections of the next K steps' latents, float[B, K, P].

        Args:
            latent: float[B, C, H, W], of the online encoder; it is renormalised first.
            action: int64[B, K], taken from there on.
            projection: of the online network, from a latent float[M, C, H, W] to float[M, P].
        """
        latents = self.transition.rollout(renormalised(latent), action)
        projected = projection(latents.flatten(0, 1))
        predicted: Tensor = self.prediction(projected)
        return predicted.unflatten(0, action.shape)


def self_prediction_error(predicted: Tensor, projected: Tensor, is_within: Tensor) -> Tensor:
    """Return the sum over steps of 1 - cosine, the paper's loss but for a constant, float[B].

    Args:
        predicted: float[B, K, P].
        projected: float[B, K, P], of the target encoder; constant: no gradient goes there.
        is_within: bool[B, K], the step belongs to the episode of the first; others count nothing.
    """
    if predicted.shape != projected.shape or is_within.shape != predicted.shape[:2]:
        raise ValueError(
            f"predicted {tuple(predicted.shape)}, projected {tuple(projected.shape)}, is_within "
            f"{tuple(is_within.shape)}: expected (B, K, P) twice, and (B, K)"
        )
    cosine = nn.functional.cosine_similarity(predicted, projected.detach(), dim=2)
    return ((1 - cosine) * is_within).sum(dim=1)
