"""Training and evaluation mode, of which each layer has its own, and buffers given back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def in_evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Set a model to evaluation mode, and give each of its modules its own mode back."""
    modes = modes_of(model)
    model.eval()
    try:
        yield
    finally:
        set_modes(modes)


@contextmanager
def kept_buffers(model: nn.Module) -> Iterator[None]:
    """Give buffers, as BatchNorm's statistics, back the values that they have now.

    For who looks at a model in training mode and must not move it.
    """
    buffers = list(model.buffers())
    before = [buffer.clone() for buffer in buffers]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in zip(buffers, before, strict=True):
                buffer.copy_(value)


def is_training(model: nn.Module) -> bool:
    """Return whether any of a model's modules is in training mode."""
    return any(module.training for module in model.modules())


def modes_of(model: nn.Module) -> dict[nn.Module, bool]:
    """Return whether each of a model's modules is in training mode."""
    return {module: module.training for module in model.modules()}


def set_modes(modes: Mapping[nn.Module, bool]) -> None:
    """Give each module back the mode that :func:`modes_of` found."""
    for module, mode in modes.items():
        module.training = mode
