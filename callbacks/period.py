"""When a callback acts: by updates or env steps within a window, or by evaluations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypedDict

import pytorch_lightning as pl

from lightning_dqn.dqn import DQN
from lightning_dqn.system.numbers import whole_number


class PeriodArguments(TypedDict, total=False):
    """What operations take as ``**period``.

    Attributes:
        every_n_updates: act after every n-th update.
        every_n_env_steps: act after the first update at or past every multiple of n env steps.
        start: the first multiple that counts, in updates or, with ``every_n_env_steps``, env steps.
        until: the first multiple, in the same unit, that no longer counts; None: no end.
    """

    every_n_updates: int | None
    every_n_env_steps: int | None
    start: int
    until: int | None


@dataclass(frozen=True)
class Period:
    """A length in updates or in env steps, and the window in which its multiples count.

    Args:
        length: at least 1.
        counts_env_steps: what is counted: env steps, or updates.
        start: the first multiple that counts.
        until: the first multiple that no longer counts; None: no end.
    """

    length: int
    counts_env_steps: bool = False
    start: int = 0
    until: int | None = None

    @classmethod
    def of(cls, arguments: PeriodArguments, *, default: int) -> Period:
        """Return the period that an operation was given.

        Args:
            arguments: see :class:`PeriodArguments`.
            default: updates between two acts where no length is given.

        Raises:
            ValueError: two lengths are given, or a number is out of its range.
            TypeError: an argument is none of a period's.
        """
        return _period(default, **arguments)

    def count(self, module: DQN) -> int:
        """Return the updates or the env steps so far, whichever the period is in."""
        return module.env_steps if self.counts_env_steps else module.updates

    def number(self, module: DQN) -> int:
        """Return how many periods are over."""
        return self.number_at(module.updates, module.env_steps)

    def number_at(self, updates: int, env_steps: int) -> int:
        """Return how many periods are over at these counts."""
        return (env_steps if self.counts_env_steps else updates) // self.length

    @property
    def first(self) -> int | None:
        """The first count at which something is due; None: none ever is."""
        first = -(-max(self.start, 1) // self.length) * self.length
        return first if self.is_in_window(first) else None

    def is_in_window(self, count: int) -> bool:
        """Tell whether ``start <= count < until``."""
        return self.start <= count and (self.until is None or count < self.until)


def never_validated(trainer: pl.Trainer, every_n_epochs: int) -> Iterator[tuple[str, str]]:
    """Yield why nothing is done after validations of every n-th epoch, if a run has none."""
    epochs, every = trainer.max_epochs, trainer.check_val_every_n_epoch or 1
    if epochs is None or epochs < 0:
        return
    if not any(n % every_n_epochs == n % every == 0 for n in range(1, epochs + 1)):
        yield "", f"it acts every {every_n_epochs} epochs, and the run has {epochs}"


def follows_evaluation(trainer: pl.Trainer, every_n_epochs: int) -> bool:
    """Tell whether a callback acts on the evaluation that ends now.

    Args:
        trainer: that evaluates.
        every_n_epochs: of a fit; those that ``validate`` and ``test`` ask for count all.
    """
    if trainer.sanity_checking:
        return False
    return trainer.state.fn != "fit" or (trainer.current_epoch + 1) % every_n_epochs == 0


def _period(
    default: int,
    every_n_updates: int | None = None,
    every_n_env_steps: int | None = None,
    start: int = 0,
    until: int | None = None,
) -> Period:
    if every_n_updates is not None and every_n_env_steps is not None:
        raise ValueError(
            f"every_n_updates={every_n_updates}, every_n_env_steps={every_n_env_steps}: "
            "give one of the two"
        )
    for name, length in (
        ("every_n_updates", every_n_updates),
        ("every_n_env_steps", every_n_env_steps),
    ):
        if length is not None:
            whole_number(name, length, least=1)
    start = whole_number("start", start)
    until = None if until is None else whole_number("until", until)
    if until is not None and until <= start:
        raise ValueError(f"until={until}: must lie above start={start}")
    length = int(every_n_env_steps or every_n_updates or default)
    return Period(length, every_n_env_steps is not None, start, until)
