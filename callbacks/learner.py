"""Whom a callback acts on: the DQN that learns, and the data module that it learns from."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl

from lightning_dqn.data import ReplayDataModule
from lightning_dqn.dqn import DQN


def dqn_of(callback: pl.Callback, module: pl.LightningModule) -> DQN:
    """Return ``module``, which ``callback`` was called with.

    Raises:
        TypeError: it isn't a DQN.
    """
    if not isinstance(module, DQN):
        name = type(callback).__name__
        raise TypeError(f"{name} needs a DQN, not a {type(module).__name__}")
    return module


def replay_data_of(trainer: pl.Trainer) -> ReplayDataModule | None:
    """Return the data module, None if there is none or it is one of another kind."""
    data: Any = getattr(trainer, "datamodule", None)
    return data if isinstance(data, ReplayDataModule) else None
