"""Short fits of a small module with operations on its networks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from lightning_dqn import DQN
from lightning_dqn.callbacks import EMATargetNetwork
from support.fixed_iterations import FixedIterations

LAYERS = [{"Linear": 8}, "ReLU", {"Linear": 6}, "ReLU"]


def fit_operations(
    make_trainer: Callable[..., pl.Trainer],
    make_module: Callable[..., DQN],
    *callbacks: pl.Callback,
    module: DQN | None = None,
    ckpt: Path | None = None,
    **trainer: Any,
) -> tuple[DQN, pl.Trainer]:
    """Fit 12 updates an epoch, with a moving target network, and return module and trainer.

    Args:
        make_trainer: the fixture.
        make_module: the fixture.
        callbacks: the operations.
        module: None: one of ``LAYERS``.
        ckpt: a checkpoint to go on from.
        trainer: arguments of the Trainer.
    """
    module = module or make_module(network=LAYERS)
    if not any(isinstance(c, EMATargetNetwork) for c in callbacks):
        callbacks = (*callbacks, EMATargetNetwork(tau=0.1))
    made = make_trainer(callbacks=list(callbacks), **trainer)
    made.fit(module, FixedIterations(module), [], ckpt_path=ckpt)
    return module, made
