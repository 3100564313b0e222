"""System load among the metrics: processor, memory, and the accelerator's memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.accelerators.cpu import get_cpu_stats

from lightning_dqn.callbacks.learner import dqn_of
from lightning_dqn.reporting.glossary import GLOSSARY
from lightning_dqn.reporting.telling import row_is_due, tell_row

SYSTEM = "system/"


class DeviceStats(pl.Callback):
    """Logs what Lightning's ``DeviceStatsMonitor`` reads, in rows like all other metrics.

    Lightning's callback logs over batches instead of env steps, twice per batch, and a hundred
    values of CUDA's allocator. This one logs those in the glossary, as ``system/<name>`` with
    Lightning's names, with every row of training.

    Args:
        cpu_stats: also log processor and memory of the whole machine, as read by psutil.
    """

    def __init__(self, *, cpu_stats: bool = True) -> None:
        self.cpu_stats = cpu_stats

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin the time over which the first row's load is measured."""
        self._read(trainer)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Log, where a row of training was."""
        if not row_is_due(trainer):
            return
        module = dqn_of(self, pl_module)
        found = {f"{SYSTEM}{name}": float(value) for name, value in self._read(trainer).items()}
        row = {key: value for key, value in found.items() if key in GLOSSARY}
        if row:
            tell_row(module, {**row, "time/env_steps": module.env_steps})

    def _read(self, trainer: pl.Trainer) -> Mapping[str, Any]:
        device = trainer.strategy.root_device
        on_device = {} if device.type == "cpu" else trainer.accelerator.get_device_stats(device)
        return {**on_device, **(get_cpu_stats() if self.cpu_stats else {})}
