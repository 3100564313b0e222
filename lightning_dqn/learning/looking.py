"""Looking at a module while it learns, without a trace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from lightning_dqn.learning.compilation import same_draws
from lightning_dqn.networks.modes import kept_buffers


@contextmanager
def looking_on(module: Any) -> Iterator[None]:
    """Call networks of a DQN as learning does, and leave all as it was.

    How often someone looks must not change what is learned. No gradients are taken; torch's
    generators go on as if nothing had been drawn, and buffers, as BatchNorm's statistics, keep
    their values.

    Args:
        module: a DQN.
    """
    with torch.no_grad(), same_draws(module.device), kept_buffers(module.agent):
        yield
