"""An evaluation in the midst of an epoch, by Lightning's own loop."""

from __future__ import annotations

import pytorch_lightning as pl


class ExtraEvaluation:
    """Has a Trainer evaluate after the next batch, once.

    Attributes:
        is_asked: it hasn't begun yet.
    """

    def __init__(self) -> None:
        self.is_asked = False
        self._before: tuple[int | float | None, int | None] | None = None

    def ask(self, trainer: pl.Trainer) -> None:
        """Ask for an evaluation, where the Trainer has one at all."""
        self.is_asked = trainer.enable_validation

    def let_follow(self, trainer: pl.Trainer, batch_idx: int) -> None:
        """Make the batch that ends one after which the Trainer evaluates, if that is asked for.

        Args:
            trainer: of a fit, in ``on_train_batch_end``.
            batch_idx: in its epoch.
        """
        if not self.is_asked:
            return
        self.is_asked = False
        self._before = (trainer.val_check_batch, trainer.check_val_every_n_epoch)
        trainer.val_check_batch = batch_idx + 1
        trainer.check_val_every_n_epoch = 1

    def undo(self, trainer: pl.Trainer) -> None:
        """Give the Trainer back its own evaluations."""
        if self._before is not None:
            trainer.val_check_batch, trainer.check_val_every_n_epoch = self._before
            self._before = None
