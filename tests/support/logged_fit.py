"""A fit of a few batches whose rows go to a logger."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer


class Learner(LightningModule):
    """Logs a row per step, a row per validation, and a Lightning row without env steps."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.env_steps = 0

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        self.env_steps += 10
        self.log_dict({"time/env_steps": float(self.env_steps), "train/loss": batch.mean()})
        return self.weight * batch.mean()

    def validation_step(self, batch: torch.Tensor, batch_idx: int) -> None:
        self.log_dict({"time/env_steps": float(self.env_steps), "eval/return": 100.0})

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Batches:
    """Three batches of one number; no DataLoader, hence none of Lightning's advice about it."""

    def __iter__(self) -> Iterator[torch.Tensor]:
        return iter([torch.full((1,), float(i)) for i in range(3)])

    def __len__(self) -> int:
        return 3


def logged_fit(logger: Any, root: Path, **arguments: Any) -> None:
    """Fit two epochs of three batches."""
    trainer = Trainer(
        accelerator="cpu",
        logger=logger,
        default_root_dir=root,
        max_epochs=2,
        log_every_n_steps=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        num_sanity_val_steps=0,
        **arguments,
    )
    trainer.fit(Learner(), Batches(), Batches())
