"""Q-networks as lists of layers.

A network is written as a list, in YAML or in Python, and built against the environment's
shapes: ``[{"Linear": 120}, "ReLU", {"Linear": 84}, "ReLU"]``. An entry names a class of
``torch.nn`` (or ``ChannelsFirst``); its argument is the output size alone (the input size
follows from the layer before), a list of positional arguments with the input size first, or a
mapping of keyword arguments. The head that turns features into action values is added after it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn


class ChannelsFirst(nn.Module):
    """Move the last axis before the image: [B, H, W, C] -> [B, C, H, W].

    Frame stacks [B, S, H, W, C] become [B, S*C, H, W].
    """

    def forward(self, image: Tensor) -> Tensor:
        """Return ``image`` with its channels first."""
        image = image.movedim(-1, -3)
        return image.flatten(1, -3) if image.ndim > 4 else image


class Planes(nn.Module):
    """Give images one axis of channels.

    [B, H, W] becomes [B, 1, H, W], and [B, S, C, H, W] becomes [B, S*C, H, W]. So a convolution
    takes single gray frames, and stacks of coloured ones.
    """

    def forward(self, image: Tensor) -> Tensor:
        """Return ``image`` with one axis of channels."""
        return image.unsqueeze(1) if image.ndim == 3 else image.flatten(1, -3)


class Scalars(nn.Module):
    """Give single numbers an axis of features: [B] becomes [B, 1]."""

    def forward(self, number: Tensor) -> Tensor:
        """Return ``number`` with that axis."""
        return number.unsqueeze(1)


class Preprocess(nn.Module):
    """Turn observations as the environment gives them into floats.

    uint8 is divided by 255, bool becomes 0 or 1, a discrete state becomes one-hot (of each
    frame of a stack, side by side), floats stay.
    """

    def __init__(self, num_states: int | None, is_uint8: bool) -> None:
        super().__init__()
        self.num_states = num_states
        self.is_uint8 = is_uint8

    def forward(self, observation: Tensor) -> Tensor:
        """Return float[B, ...]."""
        if self.num_states is not None:
            states = torch.arange(self.num_states, device=observation.device)
            one_hot = (observation.unsqueeze(-1) == states).to(torch.get_default_dtype())
            return one_hot.flatten(1)
        if self.is_uint8:
            return observation.to(torch.get_default_dtype()) / 255
        return observation if observation.is_floating_point() else observation.float()


LinearFactory = Callable[[int, int], nn.Module]
"""From the sizes of input and output to a layer: nn.Linear or one of its kind."""


def linear_with_hidden(
    linear: LinearFactory, hidden: int, in_features: int, out_features: int
) -> nn.Sequential:
    """Return two layers with a ReLU between them, made by ``linear``; a LinearFactory in its turn.

    Args:
        linear: makes each of them.
        hidden: units between them.
        in_features: of the first.
        out_features: of the second.
    """
    return nn.Sequential(linear(in_features, hidden), nn.ReLU(), linear(hidden, out_features))


class Quantiles(NamedTuple):
    """Quantiles of return, of all actions or (without the axis A) of one.

    Attributes:
        values: float[B, A, N].
        fractions: float[B, N], what share of the returns lies below each.
        weights: float[B, N], the probability that each stands for; sums to 1.
        edges: float[B, N-1], the proposed edges between them, with a gradient; None where
            fractions aren't learned.
        at_edges: float[B, A, N-1], quantiles at the edges, without one.
    """

    values: Tensor
    fractions: Tensor
    weights: Tensor
    edges: Tensor | None = None
    at_edges: Tensor | None = None


class NoisyLinear(nn.Linear):
    """A linear layer with learned noise, Fortunato et al. 2018 (arxiv.org/abs/1706.10295).

    Weights are mu + sigma * epsilon with factorised Gaussian noise, eqs. 10 and 11, drawn anew
    in each forward pass in training mode, once for all samples; in evaluation mode they are mu.
    See :func:`draw_noise` for a noise of each sample's own.

    Args:
        in_features: F.
        out_features: of the output.
        sigma: initial noise, sigma_0 of the paper.
    """

    def __init__(self, in_features: int, out_features: int, sigma: float = 0.5) -> None:
        if sigma < 0:
            raise ValueError(f"noisy_sigma={sigma}: at least 0")
        nn.Module.__init__(self)
        self.initial_sigma = sigma
        self.generator: torch.Generator | None = None
        self.in_features, self.out_features = in_features, out_features
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.empty(out_features))
        self.weight_sigma = nn.Parameter(torch.empty(out_features, in_features))
        self.bias_sigma = nn.Parameter(torch.empty(out_features))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw mu from +-1/sqrt(F) and set sigma to sigma_0/sqrt(F)."""
        super().reset_parameters()
        sigma = self.initial_sigma / self.in_features**0.5
        nn.init.constant_(self.weight_sigma, sigma)
        nn.init.constant_(self.bias_sigma, sigma)

    def forward(self, features: Tensor) -> Tensor:
        """Return float[B, ..., out_features]."""
        if not self.training:
            return super().forward(features)
        if self.generator is not None:
            return self._with_noise_of_each_sample(features, self.generator)
        of_input = _scaled_noise(self.weight, (self.in_features,))
        of_output = _scaled_noise(self.weight, (self.out_features,))
        weight = self.weight + self.weight_sigma * torch.outer(of_output, of_input)
        return nn.functional.linear(features, weight, self.bias + self.bias_sigma * of_output)

    def _with_noise_of_each_sample(self, features: Tensor, generator: torch.Generator) -> Tensor:
        # Noise that factorises can be drawn for each sample without a weight matrix for each.
        leading = (features.shape[0], *[1] * (features.ndim - 2))
        of_input = _scaled_noise(self.weight, (*leading, self.in_features), generator)
        of_output = _scaled_noise(self.weight, (*leading, self.out_features), generator)
        noise = nn.functional.linear(features * of_input, self.weight_sigma, self.bias_sigma)
        return super().forward(features) + of_output * noise


def draw_noise(network: nn.Module, generator: torch.Generator | None = None) -> nn.Module:
    """Let the noisy layers of a network draw noise in evaluation mode too.

    Args:
        network: it and its layers are changed.
        generator: each sample then has a noise of its own, drawn from here; so environments
            explore independently, and acting in a thread disturbs no other draw.
    """
    for layer in network.modules():
        if isinstance(layer, NoisyLinear):
            layer.train()
            layer.generator = generator
    return network


def has_noise(network: nn.Module) -> bool:
    """Tell whether a network has noisy layers, hence explores by itself."""
    return any(isinstance(layer, NoisyLinear) for layer in network.modules())


class DuelingHead(nn.Module):
    """V + A - mean A, eq. 9 of Wang et al. 2016 (arxiv.org/abs/1511.06581), for each output.

    Args:
        features: F.
        num_actions: A.
        outputs_per_action: N.
        linear: makes the layers of value and advantage.
    """

    def __init__(
        self,
        features: int,
        num_actions: int,
        outputs_per_action: int = 1,
        linear: LinearFactory = nn.Linear,
    ) -> None:
        super().__init__()
        self.value = linear(features, outputs_per_action)
        self.advantage = linear(features, num_actions * outputs_per_action)
        self.num_actions = num_actions

    def forward(self, features: Tensor) -> Tensor:
        """Return one output for each action and atom, float[..., A*N]."""
        advantage = self.advantage(features).unflatten(-1, (self.num_actions, -1))
        centred = advantage - advantage.mean(dim=-2, keepdim=True)
        return (self.value(features).unsqueeze(-2) + centred).flatten(-2)


class ImplicitQuantiles(nn.Module):
    """Quantiles at any fraction, Dabney et al. 2018 (arxiv.org/abs/1806.06923), fig. 1 and eq. 4.

    In training mode a fraction is drawn uniformly in each of N equal parts, anew in each forward
    pass and the same for all samples, so that fractions are embedded once; in evaluation mode
    they are the midpoints.

    Args:
        features: F.
        output: the layer from features to a value for each action.
        num_samples: N, fractions drawn in training mode.
        num_midpoints: N in evaluation mode.
        num_cosines: size of the fractions' embedding.
    """

    midpoints: Tensor
    frequencies: Tensor

    def __init__(
        self,
        features: int,
        output: nn.Module,
        *,
        num_samples: int,
        num_midpoints: int,
        num_cosines: int,
    ) -> None:
        super().__init__()
        self.num_samples = num_samples
        self.embedding = nn.Linear(num_cosines, features)
        self.output = output
        frequencies = torch.pi * torch.arange(num_cosines)
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.register_buffer("midpoints", quantile_midpoints(num_midpoints), persistent=False)

    def forward(self, features: Tensor) -> Quantiles:
        """Return quantiles of all actions at drawn or fixed fractions."""
        # Of the weights' type: under autocast the features are too coarse for fractions.
        like = self.embedding.weight
        if self.training:
            number = self.num_samples
            parts = torch.arange(number, dtype=like.dtype, device=like.device)
            fractions = ((parts + torch.rand_like(parts)) / number).unsqueeze(0)
        else:
            fractions = self.midpoints.to(like.dtype).unsqueeze(0)
        values = self.at(features, fractions)
        fractions = fractions.expand(len(features), -1)
        return Quantiles(values, fractions, torch.full_like(fractions, 1 / fractions.shape[1]))

    def at(self, features: Tensor, fractions: Tensor) -> Tensor:
        """Return the quantiles at ``fractions``, float[B, N] or float[1, N] -> float[B, A, N]."""
        cosines = torch.cos(fractions.unsqueeze(2) * self.frequencies.to(fractions.dtype))
        embedded = torch.relu(self.embedding(cosines))
        return self.output(features.unsqueeze(1) * embedded).transpose(1, 2)


class ProposedQuantiles(ImplicitQuantiles):
    """Quantiles at fractions that are learned, Yang et al. 2019 (arxiv.org/abs/1911.02140).

    Args:
        features: F.
        output: the layer from features to a value for each action.
        num_quantiles: N.
        num_cosines: size of the fractions' embedding.
        proposal_scale: what the proposing layer's output is multiplied with. Below 1 the fractions
            move slower than the values under one optimizer.
    """

    def __init__(
        self,
        features: int,
        output: nn.Module,
        *,
        num_quantiles: int,
        num_cosines: int,
        proposal_scale: float,
    ) -> None:
        super().__init__(
            features,
            output,
            num_samples=num_quantiles,
            num_midpoints=num_quantiles,
            num_cosines=num_cosines,
        )
        self.proposal = nn.Linear(features, num_quantiles)
        self.proposal_scale = proposal_scale

    def forward(self, features: Tensor) -> Quantiles:
        """Return quantiles in the middle of the proposed steps, and at the edges between them."""
        logits = self.proposal_scale * self.proposal(features.detach())
        weights = torch.softmax(logits.to(self.proposal.weight.dtype), dim=1)
        right = weights.cumsum(dim=1)
        midpoints = (right - weights / 2).detach()
        if not self.training:
            return Quantiles(self.at(features, midpoints), midpoints, weights.detach())
        edges = right[:, :-1]
        # One pass for both, so that noisy layers give both the same noise.
        both = self.at(features, torch.cat([midpoints, edges.detach()], dim=1))
        values, at_edges = both.split([midpoints.shape[1], edges.shape[1]], dim=2)
        return Quantiles(values, midpoints, weights.detach(), edges, at_edges.detach())


def quantile_midpoints(number: int) -> Tensor:
    """Return (2i + 1) / 2N, the middles of N equal parts of [0, 1], float[N]."""
    return (torch.arange(number, dtype=torch.float32) + 0.5) / number


def _scaled_noise(
    like: Tensor, shape: tuple[int, ...], generator: torch.Generator | None = None
) -> Tensor:
    """Draw f(x) = sign(x) sqrt|x| of Gaussian x, of the type and device of ``like``."""
    noise = torch.randn(shape, dtype=like.dtype, device=like.device, generator=generator)
    return noise.sign() * noise.abs().sqrt()
