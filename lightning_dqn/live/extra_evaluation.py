"""An evaluation in the midst of an epoch, by Lightning's own loop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint


class ExtraEvaluation:
    """Has a Trainer evaluate after the next batch, once; saved with the run until it is over.

    Lightning's callbacks that stop a run early or save its best take no notice of it, and
    ``trainer.callback_metrics`` are afterwards what they were.

    Attributes:
        is_asked: it hasn't begun yet.
    """

    def __init__(self) -> None:
        self.is_asked = False
        self._before: tuple[int | float | None, int | None] | None = None
        self._was_begun = False

    @property
    def is_begun(self) -> bool:
        """Whether the evaluation that goes on or comes next is this one, not the Trainer's own."""
        return self._before is not None

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
        fetcher = trainer.fit_loop._data_fetcher
        assert fetcher is not None
        if trainer.fit_loop.epoch_loop._should_check_val_fx(fetcher):  # its own, which does as well
            return
        self._before = (trainer.val_check_batch, trainer.check_val_every_n_epoch)
        trainer.val_check_batch = batch_idx + 1
        trainer.check_val_every_n_epoch = 1
        loop: Any = trainer.fit_loop.epoch_loop.val_loop
        metrics = dict(trainer.callback_metrics)  # before the loop's own are among them

        def run() -> Any:
            with _unnoticed(trainer, metrics):
                return type(loop).run(loop)

        loop.run = run

    def resume(self, trainer: pl.Trainer) -> None:
        """Play the evaluation again in whose midst the run was saved, in ``on_train_start``."""
        if self._was_begun:
            self._was_begun = False
            self.let_follow(trainer, trainer.fit_loop.epoch_loop.batch_idx)

    def undo(self, trainer: pl.Trainer) -> None:
        """Give the Trainer back its own evaluations."""
        if self._before is not None:
            trainer.val_check_batch, trainer.check_val_every_n_epoch = self._before
            self._before = None
            del trainer.fit_loop.epoch_loop.val_loop.run

    def state_dict(self) -> dict[str, Any]:
        """Return whether it has begun; nothing where there is none to come."""
        return {"evaluation_is_begun": self.is_begun} if self.is_asked or self.is_begun else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take that back."""
        self._was_begun = state.get("evaluation_is_begun", False)
        self.is_asked = "evaluation_is_begun" in state


@contextmanager
def _unnoticed(trainer: pl.Trainer, metrics: dict[str, Any]) -> Iterator[None]:
    """Keep an evaluation from what Lightning's callbacks decide by it, now and at an epoch's end.

    Args:
        trainer: that evaluates.
        metrics: which its callbacks see afterwards.
    """
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    deciding: list[Any] = [c for c in callbacks if isinstance(c, EarlyStopping | ModelCheckpoint)]
    loop = trainer.fit_loop.epoch_loop.val_loop
    has_run = loop._has_run  # else at the epoch's end a metric must be there to be saved by
    for one in deciding:
        one.on_validation_end = lambda *_: None
    try:
        yield
    finally:
        for one in deciding:
            del one.on_validation_end
        loop._has_run = has_run
        seen: Any = trainer.callback_metrics
        seen.clear()
        seen.update(metrics)


def is_by_key(trainer: pl.Trainer) -> bool:
    """Tell whether an evaluation is one that a key asked for, by which nothing may change."""
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return any(getattr(one, "evaluates_by_key", False) for one in callbacks)
