"""An evaluation as a run of W&B's, beside the runs that it is one of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning_dqn.reporting.wandb_artifacts import evaluation_artifact
from lightning_dqn.reporting.wandb_logger import STEP_METRIC, WandbLogger
from lightning_dqn.runs.finished.artifacts import OF_WANDB
from lightning_dqn.runs.finished.finished_run import FinishedRun
from lightning_dqn.runs.labels import Labels
from lightning_dqn.runs.provenance import commit
from lightning_dqn.runs.secrets import without_secrets
from lightning_dqn.system.overrides import own_overrides


def log_evaluation(run: FinishedRun, named: str, outcome: Mapping[str, Any]) -> None:
    """Hand an evaluation to W&B: its numbers as a test's, and all of it as an artifact.

    Args:
        run: that was evaluated.
        named: how it was named.
        outcome: what ``evaluate --json`` prints.
    """
    config = run.config()
    labels = Labels.of(config.name, config.seed, own_overrides(Path(run.folder or ".")) or ())
    logger = WandbLogger(save_dir=run.folder or ".", tags=list(config.get("tags") or ()))
    logger.describe(
        name=f"evaluate {labels.name}", group=labels.group, job_type="evaluate", commit=commit()
    )
    try:
        logger.log_hyperparams(without_secrets(config))
        logger.log_metrics(_row(run, outcome))
        if named.startswith(OF_WANDB) and not logger.experiment.offline:
            logger.experiment.use_artifact(named.removeprefix(OF_WANDB))
        name = f"evaluation-{logger.experiment.id}"
        logger.experiment.log_artifact(evaluation_artifact(name, {"run": named, **outcome}))
    except BaseException as error:
        logger.end(error)
        raise
    logger.end()


def _row(run: FinishedRun, outcome: Mapping[str, Any]) -> dict[str, float]:
    episodes = outcome["episodes"]
    lengths = [one["length"] for one in episodes]
    env_steps = run.env_steps()
    return {
        **({} if env_steps is None else {STEP_METRIC: env_steps}),
        "test/episode_return": outcome["mean"],
        "test/episode_return_std": outcome["std"],
        "test/episode_length": sum(lengths) / len(lengths),
        "test/episodes": len(episodes),
        "test/episodes_cut": sum(one["is_cut"] for one in episodes),
    }
