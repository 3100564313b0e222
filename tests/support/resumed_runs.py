"""Fits that are broken off and continued, held against one that never was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers.logger import DummyLogger

from lightning_dqn import DQN, ReplayDataModule
from lightning_dqn.callbacks import SafeStop
from lightning_dqn.safekeeping.signals import Stopped

Parts = tuple[DQN, ReplayDataModule, list[pl.Callback]]

TIMES = ("time/env_steps_per_second", "time/updates_per_second")


class Rows(DummyLogger):
    """Keeps what is logged, without what a clock says."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[int | None, dict[str, float]]] = []

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.rows.append((step, {k: v for k, v in metrics.items() if k not in TIMES}))


@dataclass
class At(pl.Callback):
    """Sends itself a signal: after some iterations, or in some evaluation or in the warm-up."""

    stop: SafeStop
    iteration: int | None = None
    evaluation: int | None = None
    warmup: bool = False
    evaluations: int = field(default=0, init=False)
    looks: int = field(default=0, init=False)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        if self.warmup:
            self.stop.listener.number = 15
        trainer.datamodule.observers.append(self._look)

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        self.evaluations, self.looks = self.evaluations + 1, 0

    def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
        if trainer.global_step == self.iteration:
            self.stop.listener.number = 15

    def _look(self, observation: np.ndarray, counts: np.ndarray) -> None:
        self.looks += 1
        if (self.evaluations, self.looks) == (self.evaluation, 2):
            self.stop.listener.number = 15


@dataclass
class Outcome:
    """What a fit left: the whole of its checkpoint, what it logged, and whether it was stopped."""

    checkpoint: dict[str, Any]
    rows: list[Any]
    is_stopped: bool


def fit(
    make: Callable[[], Parts],
    folder: Path,
    *,
    epochs: int,
    seed: int,
    resume: bool = False,
    **at: Any,
) -> Outcome:
    """Fit in ``folder``, anew or from its last checkpoint.

    Args:
        make: the parts, made anew each time.
        folder: of the checkpoint.
        epochs: of the whole run.
        seed: of the generators that all share; a continued run shall not depend on it.
        resume: go on from where the last one stopped.
        at: where to stop, see :class:`At`.
    """
    pl.seed_everything(seed, verbose=False)
    module, data, callbacks = make()
    stop, rows = SafeStop(folder / "last.ckpt"), Rows()
    trainer = pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=rows,
        callbacks=[*callbacks, At(stop, **at), stop],
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        num_sanity_val_steps=0,
        default_root_dir=folder,
    )
    saved = _Saved()
    trainer.callbacks.append(saved)
    try:
        trainer.fit(module, data, ckpt_path=folder / "last.ckpt" if resume else None)
    except Stopped:
        return Outcome({}, rows.rows, True)
    return Outcome(saved.checkpoint, rows.rows, False)


class _Saved(pl.Callback):
    """Keeps all that a checkpoint at the end would hold."""

    checkpoint: dict[str, Any]

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        dumped = trainer._checkpoint_connector.dump_checkpoint()
        dumped.pop("loops")  # Lightning counts some of its own differently after a restart
        dumped["dqn"]["continuation"]["report"].pop("seconds")
        self.checkpoint = dumped


def differences(one: Any, other: Any, path: str = "") -> list[str]:
    """Return where two plain values differ, bit for bit."""
    if isinstance(one, torch.Tensor):
        same = one.dtype == other.dtype and one.shape == other.shape
        return [] if same and torch.equal(_bits(one), _bits(other)) else [path]
    if isinstance(one, Mapping):
        if one.keys() != other.keys():
            return [f"{path}: {sorted(map(str, one.keys() ^ other.keys()))}"]
        return [d for k in one for d in differences(one[k], other[k], f"{path}/{k}")]
    if isinstance(one, list | tuple):
        if len(one) != len(other):
            return [f"{path}: {len(one)} and {len(other)}"]
        pairs = enumerate(zip(one, other, strict=True))
        return [d for i, (a, b) in pairs for d in differences(a, b, f"{path}/{i}")]
    return [] if one == other or (one != one and other != other) else [f"{path}: {one} {other}"]


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous().view(torch.uint8) if tensor.numel() and tensor.ndim else tensor


def differences_of_broken_run(
    make: Callable[[], Parts], folder: Path, *, epochs: int, **at: Any
) -> list[str]:
    """Return in what a run that was stopped and continued differs from one that never was.

    Args:
        make: the parts, made anew for each fit.
        folder: of the checkpoints.
        epochs: of the whole run.
        at: where to stop, see :class:`At`.
    """
    whole = fit(make, folder / "whole", epochs=epochs, seed=3)
    first = fit(make, folder / "broken", epochs=epochs, seed=3, **at)
    assert first.is_stopped, f"nothing stopped it: {at}"
    is_saved = (folder / "broken" / "last.ckpt").exists()
    seed = 1234 if is_saved else 3
    second = fit(make, folder / "broken", epochs=epochs, seed=seed, resume=is_saved)
    rows = [*(first.rows if is_saved else []), *second.rows]
    of_rows = differences(whole.rows, rows, "rows")
    return [*differences(whole.checkpoint, second.checkpoint), *of_rows]
