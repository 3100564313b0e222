"""The way of priorities from the module that learns back to the sampler.

A data module has no hook at a batch's end, so it brings a callback along.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytorch_lightning as pl

from lightning_dqn.replay.samplers.sampler import Sampler


class ReturnPriorities(pl.Callback):
    """Gives the sampler what ``training_step`` returns as ``priority``, float[U, B].

    It stands before all other callbacks, so that what they save holds the priorities.

    Args:
        sampler: returns the sampler of this moment.
    """

    logs_metrics = False

    def __init__(self, sampler: Callable[[], Sampler | None]) -> None:
        self.sampler = sampler

    def join(self, trainer: pl.Trainer) -> None:
        """Become the first of a Trainer's callbacks."""
        self.leave(trainer)
        trainer.callbacks.insert(0, self)  # type: ignore[attr-defined]

    def leave(self, trainer: pl.Trainer) -> None:
        """Be none of them any more."""
        if self in trainer.callbacks:  # type: ignore[attr-defined]
            trainer.callbacks.remove(self)  # type: ignore[attr-defined]

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Pass the priorities on.

        Raises:
            ValueError: the module returned none.
        """
        if not isinstance(outputs, Mapping) or "priority" not in outputs:
            name = type(pl_module).__name__
            raise ValueError(
                f"{name}.training_step returned no 'priority', float[U, B], which prioritised "
                "sampling goes by; choose another sampler"
            )
        sampler = self.sampler()
        assert sampler is not None, "priorities come back while there is a sampler"
        sampler.update_priorities(outputs["priority"])
