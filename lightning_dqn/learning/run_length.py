"""How many iterations a run makes and on how many env steps, by what limits it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # a configuration is composed without torch, which it brings
    import pytorch_lightning as pl


class EnvStepsOfRun(Protocol):
    """In what steps a run collects, as a ``Pace`` of replay has it.

    Attributes:
        warmup_env_steps: before the first iteration.
        env_steps_per_iteration: of each.
    """

    @property
    def warmup_env_steps(self) -> int: ...  # noqa: D102

    @property
    def env_steps_per_iteration(self) -> int: ...  # noqa: D102


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
    if (epochs := end_of(max_epochs)) is not None:
        ends.append(epochs * an_epoch)
    return min(ends, default=None)


def end_of(max_epochs: int | None) -> int | None:
    """Return after how many epochs a run ends, None where they don't end it, as -1 doesn't."""
    return None if max_epochs is None or max_epochs < 0 else max_epochs


def limited(an_epoch: int, limit: int | float | None) -> int:
    """Return an epoch's iterations under ``limit_train_batches``: a number, or a share of them."""
    if limit is None:
        return an_epoch
    return min(an_epoch, limit) if isinstance(limit, int) else int(an_epoch * limit)


def env_steps_at_end_of_fit(trainer: pl.Trainer, pace: EnvStepsOfRun, env_steps: int) -> int | None:
    """Return the env steps at the end of the fit that goes on; None where it has none.

    Args:
        trainer: that fits.
        pace: of the data.
        env_steps: so far; before the warm-up ends there are none.
    """
    loop: Any = trainer.fit_loop
    epochs, batches = loop.epoch_progress.current, loop.epoch_loop.batch_progress
    is_over = epochs.ready <= epochs.processed and batches.is_last_batch  # no other has begun
    return env_steps_at_end(
        trainer,
        pace,
        an_epoch=int(trainer.num_training_batches),
        epochs=epochs.processed,
        iterations=0 if is_over else batches.current.ready,
        all_iterations=batches.total.ready,
        env_steps=env_steps,
    )


def env_steps_at_end(
    trainer: pl.Trainer,
    pace: EnvStepsOfRun,
    *,
    an_epoch: int,
    epochs: int,
    iterations: int,
    all_iterations: int,
    env_steps: int,
) -> int | None:
    """Return the env steps at a fit's end: those so far and of the iterations to come.

    So far, epochs may have been of another length, and a ring may have been filled more than once.

    Args:
        trainer: with its limits.
        pace: of the data.
        an_epoch: iterations of each epoch from now on.
        epochs: that are over.
        iterations: of the epoch that has begun.
        all_iterations: of the whole run so far.
        env_steps: so far; before the warm-up ends there are none.

    Returns:
        None where it has no end.
    """
    left = []
    if (most := end_of(trainer.max_epochs)) is not None:
        left.append((most - epochs) * an_epoch - iterations)
    if trainer.max_steps >= 0:
        left.append(trainer.max_steps - all_iterations)
    if not left:
        return None
    so_far = max(env_steps, pace.warmup_env_steps)
    return so_far + max(0, min(left)) * pace.env_steps_per_iteration
