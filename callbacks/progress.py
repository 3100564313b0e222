"""Progress in env steps: a bar on a terminal, one line for each evaluation everywhere."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ProgressBar
from tqdm import tqdm

from lightning_dqn.dqn import DQN
from lightning_dqn.learning.run_length import env_steps_at_end_of_fit
from lightning_dqn.reporting.telling import row_is_due

_transcript = logging.getLogger("lightning_dqn.transcript")


class EnvStepProgressBar(ProgressBar):
    """Shows the warm-up and the training in env steps, and the result of each evaluation.

    On a terminal it is a moving bar; in a file there are only the lines.
    """

    logs_metrics = False

    def __init__(self) -> None:
        super().__init__()
        self._bar: tqdm | None = None
        self._total: Callable[[], int | None]
        self._enabled = True

    def disable(self) -> None:
        """Show nothing."""
        self._enabled = False

    def enable(self) -> None:
        """Show the progress."""
        self._enabled = True

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the bar."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        if not self._enabled or not hasattr(data, "after_collection"):
            return
        assert isinstance(pl_module, DQN)  # the data refuses others
        self._total = lambda: env_steps_at_end_of_fit(trainer, data.pace, pl_module.env_steps)
        self._bar = tqdm(
            total=self._total(),
            desc="warm-up",
            unit=" env steps",
            unit_scale=True,
            dynamic_ncols=True,
            file=sys.stderr,
            disable=not sys.stderr.isatty(),
        )
        data.after_collection.append(self._show)

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any, **kwargs: Any) -> None:
        """Say that learning has begun, and how the newest training episodes went."""
        if self._bar is None or self._bar.disable:
            return
        if self._bar.desc != "training: ":
            self._bar.set_description("training", refresh=False)
        value = trainer.callback_metrics.get("rollout/episode_return")
        if value is not None and row_is_due(trainer):
            self._bar.set_postfix_str(f"return {float(value):.1f}", refresh=False)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the evaluation's result."""
        if trainer.sanity_checking or not self._enabled or trainer.state.fn != "fit":
            return
        metrics = trainer.callback_metrics
        value, spread = (metrics.get(f"eval/episode_return{end}") for end in ("", "_std"))
        if value is None or spread is None:
            return
        line = (
            f"env steps {getattr(pl_module, 'env_steps', 0):>10,} | "
            f"evaluation return {float(value):8.1f} ± {float(spread):.1f}"
        )
        speed = metrics.get("time/env_steps_per_second")
        if speed is not None:
            line += f" | {float(speed):,.0f} env steps/s"
        tqdm.write(line, file=sys.stdout)
        _transcript.info(line)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the bar."""
        self._close(trainer)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Close the bar."""
        self._close(trainer)

    def _show(self, env_steps: int) -> None:
        if self._bar is not None:
            self._bar.total = self._total()
            self._bar.update(env_steps - self._bar.n)

    def _close(self, trainer: pl.Trainer) -> None:
        if self._bar is not None:
            self._bar.close()
            trainer.datamodule.after_collection.remove(self._show)  # type: ignore[attr-defined]
        self._bar = None
