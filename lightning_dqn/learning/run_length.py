"""How many iterations a run makes, by what limits it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a configuration is composed without torch, which it brings
    import pytorch_lightning as pl


def iterations_in(trainer: pl.Trainer, an_epoch: int) -> int:
    """Return to how many iterations a Trainer limits an epoch of so many."""
    return limited(an_epoch, trainer.limit_train_batches)


def iterations_of(trainer: pl.Trainer, an_epoch: int) -> int | None:
    """Return the iterations of a run whose epoch has so many, None if it has no set end."""
    an_epoch = iterations_in(trainer, an_epoch)
    return iterations_until(trainer.max_epochs, trainer.max_steps, an_epoch)


def iterations_until(max_epochs: int | None, max_steps: int, an_epoch: int) -> int | None:
    """Return the iterations until the first of two ends; -1 is none, and both None."""
    ends = [] if max_steps < 0 else [max_steps]
    if max_epochs is not None and max_epochs >= 0:
        ends.append(max_epochs * an_epoch)
    return min(ends, default=None)


def limited(an_epoch: int, limit: int | float | None) -> int:
    """Return an epoch's iterations under ``limit_train_batches``: a number, or a share of them."""
    if limit is None:
        return an_epoch
    return min(an_epoch, limit) if isinstance(limit, int) else int(an_epoch * limit)
