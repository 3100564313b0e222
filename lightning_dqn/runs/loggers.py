"""What a run's loggers are told beside its rows: what it is as it begins, and how it ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from lightning_dqn.reporting.wandb_logger import WandbLogger
from lightning_dqn.runs.changes import CHANGES, changes
from lightning_dqn.runs.experiment import Experiment
from lightning_dqn.runs.labels import Labels
from lightning_dqn.runs.provenance import commit
from lightning_dqn.runs.secrets import without_secrets
from lightning_dqn.system.files import SWEEP
from lightning_dqn.system.overrides import without_place


@contextmanager
def following(experiment: Experiment) -> Iterator[None]:
    """Tell the loggers what the run is, and W&B how it ended, whatever ends it."""
    loggers = [one for one in experiment.trainer.loggers if isinstance(one, WandbLogger)]
    try:
        for logger in loggers:
            _describe(logger, experiment.config)
        _tell_configuration(experiment)
        if loggers and (patch := changes()):
            for logger in loggers:
                logger.save_text(CHANGES, patch)
        yield
    except BaseException as error:
        for logger in loggers:
            logger.end(error)
        raise
    for logger in loggers:
        logger.end()


def task_overrides() -> tuple[str, ...]:
    """Return what the run was asked for on its command lines, without its own place.

    What comes from the environment isn't filled in, for it may be secret.
    """
    if not HydraConfig.initialized():
        return ()
    written: Any = OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)
    return without_place([str(one) for one in written])


def _tell_configuration(experiment: Experiment) -> None:
    """Give the whole configuration to the loggers.

    It holds all that the module's hyper-parameters hold, which Lightning would lay over it under
    the same names: ``environment`` would lose its ``id``, and ``network`` stand there twice.
    """
    experiment.module.save_hyperparameters({}, logger=False)  # none more, and none to the loggers
    for logger in experiment.trainer.loggers:
        logger.log_hyperparams(without_secrets(experiment.config))


def _describe(logger: WandbLogger, config: DictConfig) -> None:
    is_job = (Path(config.run_dir).parent / SWEEP).is_file()
    labels = Labels.of(config.name, config.seed, task_overrides())
    job_type = "sweep" if is_job or os.environ.get("WANDB_SWEEP_ID") else "train"
    logger.describe(name=labels.name, group=labels.group, job_type=job_type, commit=commit())
