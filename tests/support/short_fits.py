"""What tests share that look into fits of a few iterations, or do without a Trainer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytorch_lightning as pl
import torch

from lightning_dqn import DQN, ReplayDataModule
from lightning_dqn.learning.leaving import BreakingOff
from lightning_dqn.system.denormals import FlushDenormals
from lightning_dqn.transitions import Iteration


class OnBatch(pl.Callback):
    """Calls a function with the data module and the iteration, before or after it was learned."""

    def __init__(self, *, before: Callable[..., None] | None = None, after: Any = None) -> None:
        self.before = before
        self.after = after

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, index: int) -> None:
        if self.before is not None:
            self.before(trainer.datamodule, batch)

    def on_train_batch_end(
        self, trainer: Any, module: Any, outputs: Any, batch: Any, index: int
    ) -> None:
        if self.after is not None:
            self.after(trainer.datamodule, batch)


def without_target(make_module: Callable[..., DQN], **arguments: Any) -> DQN:
    """Return the fixture's module without a target network: no callback has to move it."""
    return make_module(double=False, slow_copy=False, **arguments)


def callbacks_of(trainer: Any) -> list[pl.Callback]:
    """Return a Trainer's callbacks of this moment, but for those that every DQN brings along."""
    return [c for c in trainer.callbacks if not isinstance(c, FlushDenormals | BreakingOff)]


def iterations_of(data: ReplayDataModule, learner: Any, folder: Path) -> Iterator[Iteration]:
    """Yield an epoch of iterations that ``learner`` acts in, without a Trainer's delays."""
    strategy = SimpleNamespace(root_device=torch.device("cpu"), checkpoint_io=None)
    data.trainer = SimpleNamespace(  # type: ignore[assignment]
        lightning_module=learner,
        strategy=strategy,
        default_root_dir=folder,
        callbacks=[],
        received_sigterm=False,
        num_nodes=1,
    )
    data.setup("fit")
    yield from data.train_dataloader()
    data.teardown("fit")
