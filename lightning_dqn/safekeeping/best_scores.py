"""What a ``ModelCheckpoint`` takes for its best, where a checkpoint couldn't be written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from lightning_dqn.safekeeping.generations import is_kept
from lightning_dqn.safekeeping.reading import read_checkpoint
from lightning_dqn.system.faults import DamagedCheckpoint


def forget_unsaved(trainer: pl.Trainer, path: Path) -> None:
    """Let callbacks go by the checkpoint that lies at a path where another couldn't be written.

    Lightning's count a score before they save: one that isn't there would be the best from then on,
    and later ones that are worse, but better than what is there, wouldn't be saved.

    Args:
        trainer: whose callbacks they are.
        path: of the checkpoint that couldn't be written.
    """
    for callback in trainer.checkpoint_callbacks:
        if isinstance(callback, ModelCheckpoint):
            for name in list(callback.best_k_models):
                if os.path.abspath(name) == str(path):
                    _go_back(callback, name, path)


def _go_back(callback: ModelCheckpoint, name: str, path: Path) -> None:
    models = callback.best_k_models
    former = _score_in(path, callback.state_key, name)
    if former is None:
        del models[name]
    else:
        models[name] = former
    best, worst = (max, min) if callback.mode == "max" else (min, max)
    callback.best_model_path = best(models, key=lambda one: float(models[one]), default="")
    callback.best_model_score = models.get(callback.best_model_path)
    is_full = 0 < callback.save_top_k <= len(models)
    callback.kth_best_model_path = (
        worst(models, key=lambda one: float(models[one])) if is_full else ""
    )
    nothing = torch.tensor(-torch.inf if callback.mode == "max" else torch.inf)
    callback.kth_value = models.get(callback.kth_best_model_path, nothing)


def _score_in(path: Path, key: str, name: str) -> Any:
    """Return the score that a callback noted in the checkpoint itself; None: there is none."""
    if not is_kept(path):
        return None
    try:
        noted = read_checkpoint(path)["callbacks"][key]["best_k_models"]
    except (DamagedCheckpoint, KeyError):
        return None
    return noted.get(name)
