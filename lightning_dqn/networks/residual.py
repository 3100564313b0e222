"""Residual convolutions: the stages of the Impala network, their norms and their pooling.

Shapes: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

SETTLING_SQUARINGS = 7
"""Of W W', which is 128 steps of the power iteration: one more hardly changes the norms."""


class SpectralConv2d(nn.Conv2d):
    """A convolution whose weights, as a matrix [out, rest], are divided by their spectral norm.

    Miyato et al. 2018 (arxiv.org/abs/1802.05957), alg. 1: sigma = u' W v, with one step of the
    power iteration in each forward pass in training mode; in evaluation mode u and v stay. It
    computes what torch's own parametrization does, and can be drawn anew, copied and averaged as
    a layer.

    Args:
        arguments: as of nn.Conv2d.
        settings: likewise.
    """

    left: Tensor
    right: Tensor

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        rows, columns = self.weight.flatten(1).shape
        self.register_buffer("left", torch.empty(rows))
        self.register_buffer("right", torch.empty(columns))
        self._draw_directions()

    def reset_parameters(self) -> None:
        """Draw new weights, and look for their largest direction anew."""
        super().reset_parameters()
        if "left" in self._buffers:
            self._draw_directions()

    def forward(self, image: Tensor) -> Tensor:
        """Return float[B, out, H', W']."""
        if self.training:
            self._iterate()
        matrix = self.weight.flatten(1)
        # Copies: the next pass moves the vectors before the gradients of this one are taken.
        sigma = self.left.clone() @ (matrix @ self.right.clone())
        return self._conv_forward(image, self.weight / sigma, self.bias)

    @torch.no_grad()
    def _iterate(self) -> None:
        matrix = self.weight.flatten(1)
        left = nn.functional.normalize(matrix @ self.right, dim=0)
        self.left.copy_(left)
        self.right.copy_(nn.functional.normalize(matrix.mT @ left, dim=0))

    @torch.no_grad()
    def settle(self) -> None:
        """Find u and v of weights that something else than learning has changed."""
        # Products of low precision would lose the direction.
        with torch.autocast(self.weight.device.type, enabled=False):
            matrix = self.weight.flatten(1)
            power = matrix @ matrix.mT
            for _ in range(SETTLING_SQUARINGS):
                power = power / power.norm().clamp_min(1e-30)
                power = power @ power
            self.right.copy_(nn.functional.normalize(matrix.mT @ (power @ self.left), dim=0))
            self._iterate()

    @torch.no_grad()
    def _draw_directions(self) -> None:
        self.right.normal_()
        self._iterate()
        self.settle()


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(relu(x)))), fig. 3 of Espeholt et al. 2018 (arxiv.org/abs/1802.01561).

    Args:
        channels: C, of input and output.
        spectral_norm: divide the weights by their spectral norm.
    """

    def __init__(self, channels: int, *, spectral_norm: bool = False) -> None:
        super().__init__()
        kind = SpectralConv2d if spectral_norm else nn.Conv2d
        self.first = kind(channels, channels, 3, padding=1)
        self.second = kind(channels, channels, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """Return float[B, C, H, W], of the input's shape."""
        change: Tensor = self.second(torch.relu(self.first(torch.relu(image))))
        return image + change


class ResidualStage(nn.Sequential):
    """A convolution, a pooling that halves the image, and residual blocks: a row of fig. 3.

    Args:
        in_channels: of the input.
        out_channels: C.
        num_blocks: residual blocks.
        spectral_norm: in the blocks, as Clark et al. 2024 (arxiv.org/abs/2411.03820) have it.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        num_blocks: int = 2,
        spectral_norm: bool = False,
    ) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 3, padding=1),
            nn.MaxPool2d(3, stride=2, padding=1),
            *(ResidualBlock(out_channels, spectral_norm=spectral_norm) for _ in range(num_blocks)),
        )


class GridMaxPool2d(nn.AdaptiveMaxPool2d):
    """torch's adaptive max pooling, by operations that programs of other runtimes have too.

    Window i of N along an axis of H begins at floor(i H / N) and ends before ceil((i + 1) H / N).

    Args:
        size: N, of height and width.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size

    def forward(self, image: Tensor) -> Tensor:
        """Return float[B, C, N, N]."""
        return self._pooled(self._pooled(image, 2), 3)

    def _pooled(self, image: Tensor, axis: int) -> Tensor:
        length, number = image.shape[axis], self.size
        windows = [(i * length // number, -(-(i + 1) * length // number)) for i in range(number)]
        parts = [image.narrow(axis, begin, end - begin) for begin, end in windows]
        return torch.stack([part.amax(axis) for part in parts], dim=axis)
