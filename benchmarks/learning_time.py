"""The processor's time that learning the CartPole work unit takes, with callbacks of interest."""

from __future__ import annotations

import logging
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contestants.work_unit import WORK_UNIT

EPOCH = 5_000
"""Env steps of an epoch, as data has it by default."""


def learning_seconds(
    callbacks: Callable[[], list[Any]],
    *,
    preset: str = "plain",
    limit_val_batches: float = 0,
    log_every_n_steps: int = 50,
) -> float:
    """Return the processor seconds of learning, in this process, after warm-up and compilation.

    Args:
        callbacks: makes those that are added, once Lightning is imported here.
        preset: ``plain``, built in Python, or an option of conf/algorithm.
        limit_val_batches: of the Trainer; 0: no evaluation.
        log_every_n_steps: likewise.
    """
    sys.path.insert(0, str(Path(__file__).resolve().parent / "contestants"))
    import ours
    import pytorch_lightning as pl
    import torch

    from lightning_dqn.callbacks import EMATargetNetwork
    from lightning_dqn.reporting.csv_logger import csv_logger

    class Clock(ours.Stopwatch):
        """Reads the processor's time where learning begins, once it is compiled."""

        began = 0.0

        def on_train_batch_start(
            self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: object, batch_idx: int
        ) -> None:
            super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
            self.began = self.began or time.process_time()

    torch.set_num_threads(1)
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    warnings.simplefilter("ignore")
    pl.seed_everything(1, verbose=False)
    sys.argv = ["ours.py", *([] if preset == "plain" else ["--preset", preset])]
    module, data = ours.build(ours.parse_options())
    data.env_steps_per_epoch = EPOCH
    clock = Clock()
    target = EMATargetNetwork(tau=1.0, every_n_updates=WORK_UNIT.target_every_n_updates)
    with tempfile.TemporaryDirectory() as folder:
        pl.Trainer(
            max_epochs=WORK_UNIT.learning_env_steps // EPOCH,
            limit_val_batches=limit_val_batches,
            num_sanity_val_steps=0,
            accelerator="cpu",
            callbacks=[target, clock, *callbacks()],
            logger=csv_logger(folder),
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            log_every_n_steps=log_every_n_steps,
        ).fit(module, data)
    return time.process_time() - clock.began
