"""What W&B is given to keep."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from lightning_dqn.reporting import wandb_logger
from lightning_dqn.reporting.wandb_artifacts import (
    MODEL,
    checkpoint_artifacts,
    evaluation_artifact,
)
from lightning_dqn.reporting.wandb_logger import WandbLogger


def _callback(folder: Path, name: str, monitor: str | None = None) -> ModelCheckpoint:
    callback = ModelCheckpoint(dirpath=folder, monitor=monitor, mode="max")
    path = folder / f"{name}.ckpt"
    path.write_text(name)
    callback.best_model_path = str(path)
    callback.best_model_score = torch.tensor(3.0)
    return callback


def test_a_checkpoint_goes_with_its_score_and_the_runs_configuration(tmp_path: Path) -> None:
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "config.yaml").write_text("seed: 0")
    seen: dict[str, float] = {}
    callback = _callback(tmp_path, "best", "eval/episode_return")
    [(artifact, aliases)] = checkpoint_artifacts(callback, "model-x", tmp_path, seen)
    assert (artifact.name, artifact.type) == ("model-x", "model")
    assert set(artifact.manifest.entries) == {MODEL, ".hydra/config.yaml"}
    assert aliases == ["latest", "best"]
    assert artifact.metadata["score"] == 3.0
    assert artifact.metadata["monitor"] == "eval/episode_return"
    assert list(checkpoint_artifacts(callback, "model-x", tmp_path, seen)) == []


def test_the_last_checkpoint_is_not_called_the_best(tmp_path: Path) -> None:
    [(artifact, aliases)] = checkpoint_artifacts(_callback(tmp_path, "last"), "m", tmp_path, {})
    assert set(artifact.manifest.entries) == {MODEL}
    assert aliases == ["latest"]


@pytest.mark.parametrize(("monitor", "expected"), [("a/b", ["best"]), (None, ["best", "last"])])
def test_at_the_end_those_are_uploaded_that_know_which_is_the_best(
    monitor: str | None, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploaded = []
    monkeypatch.setattr(
        wandb_logger.WandbLogger,
        "_scan_and_log_checkpoints",
        lambda self, callback: uploaded.append(Path(callback.best_model_path).stem),
    )
    logger = WandbLogger(save_dir=tmp_path, log_model=True)
    logger._experiment = object()
    for callback in (_callback(tmp_path, "best", monitor), _callback(tmp_path, "last")):
        logger.after_save_checkpoint(callback)
    logger.finalize("success")
    assert uploaded == expected


def test_an_evaluation_is_one_file(tmp_path: Path) -> None:
    artifact = evaluation_artifact("evaluation-x", {"mean": 1.5})
    [entry] = artifact.manifest.entries.values()
    assert json.loads(Path(entry.local_path).read_text()) == {"mean": 1.5}
