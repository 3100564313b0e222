"""A checkpoint that can't be written doesn't end the run; several in a row do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.trainer.states import TrainerFn, TrainerStatus
from pytorch_lightning.utilities import rank_zero_warn

from lightning_dqn.safekeeping.best_scores import forget_unsaved
from lightning_dqn.system.faults import RunFault, first_line

MOST_IN_A_ROW = 5
"""Failures after which a run ends: what it learns would be lost."""

METRIC = "checkpoint/failed"

_OF_TORCH = ("inline_container", "PytorchStreamWriter")
"""Words in the RuntimeError by which torch says that it couldn't write."""


class CheckpointsFailed(RunFault):
    """Too many checkpoints in a row couldn't be written."""


def reason_of(error: BaseException) -> str | None:
    """Return why a file couldn't be written, None where the error is of another kind."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if not isinstance(error, RuntimeError) or not any(word in str(error) for word in _OF_TORCH):
        return None
    # Torch closes its archive on the way out, and complains of that instead of the cause.
    cause = error.__context__
    return (reason_of(cause) if cause is not None else None) or first_line(error)


class Failures:
    """Counts the checkpoints that a Trainer couldn't write, and tells of them.

    Args:
        trainer: whose fit goes on without them.

    Attributes:
        total: so many failed so far.
        in_a_row: so many failed since one was written.
    """

    def __init__(self, trainer: pl.Trainer) -> None:
        self._trainer = trainer
        self.total = 0
        self.in_a_row = 0

    def end(self) -> None:
        """Note that a checkpoint was written."""
        self.in_a_row = 0

    def count(self, path: Path, reason: str) -> None:
        """Count a failure and warn of it.

        Raises:
            CheckpointsFailed: it was one too many, or nothing is being learned that could go on.
        """
        self.total += 1
        self.in_a_row += 1
        text = f"{path}: the checkpoint couldn't be written: {reason}"
        state = self._trainer.state
        if state.fn != TrainerFn.FITTING or state.status == TrainerStatus.FINISHED:
            raise CheckpointsFailed(text)
        self._log()
        # A fit that is ending by another error is to be told by that one.
        if self.in_a_row >= MOST_IN_A_ROW and state.status == TrainerStatus.RUNNING:
            raise CheckpointsFailed(
                f"{text}; that is {self.in_a_row} in a row, so the run ends: make room or choose "
                "another folder, and continue from the newest checkpoint"
            )
        forget_unsaved(self._trainer, path)
        rank_zero_warn(
            f"{text}; the run continues and what was saved before stays "
            f"(failure {self.in_a_row} in a row, {MOST_IN_A_ROW} end the run)"
        )

    def _log(self) -> None:
        module: Any = self._trainer.lightning_module
        step = getattr(module, "env_steps", self._trainer.global_step)
        for logger in self._trainer.loggers:
            logger.log_metrics({METRIC: self.total, "time/env_steps": step}, step=step)
