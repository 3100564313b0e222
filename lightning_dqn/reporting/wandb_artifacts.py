"""What a run gives W&B to keep: checkpoints with the configuration that they are read by."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers.utilities import _scan_checkpoints
from torch import Tensor

if TYPE_CHECKING:
    import wandb

MODEL = "model.ckpt"
"""A checkpoint's name in an artifact, as Lightning's logger has it."""

_CONFIGURATION = ".hydra/config.yaml"


def checkpoint_artifacts(
    callback: ModelCheckpoint, name: str, folder: Path, seen: dict[str, float]
) -> Iterator[tuple[wandb.Artifact, list[str]]]:
    """Yield the checkpoints that are new as artifacts, each with its aliases.

    The alias ``best`` is for those that a metric has found to be the best.

    Args:
        callback: that saved them.
        name: of the artifact.
        folder: of the run, whose configuration goes along where it lies there.
        seen: path -> time of change of those that aren't new; the new ones are added.
    """
    import wandb

    for changed, path, score, _ in _scan_checkpoints(callback, seen):
        is_best = callback.monitor is not None and path == callback.best_model_path
        metadata = {
            "score": score.item() if isinstance(score, Tensor) else score,
            "monitor": callback.monitor,
            "mode": callback.mode,
            "original_filename": Path(path).name,
        }
        artifact = wandb.Artifact(name, type="model", metadata=metadata)
        artifact.add_file(path, name=MODEL)
        if (folder / _CONFIGURATION).is_file():
            artifact.add_file(str(folder / _CONFIGURATION), name=_CONFIGURATION)
        yield artifact, ["latest", "best"] if is_best else ["latest"]
        seen[path] = changed


def evaluation_artifact(name: str, outcome: Mapping[str, Any]) -> wandb.Artifact:
    """Return an evaluation's outcome as an artifact with one file of JSON."""
    import wandb

    artifact = wandb.Artifact(name, type="evaluation")
    with artifact.new_file("evaluation.json") as file:
        json.dump(dict(outcome), file, indent=2)
    return artifact
