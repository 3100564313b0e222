"""Rows of metrics on their way through Lightning: to its loggers and to its callbacks."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import pytorch_lightning as pl
import torch


def tell_row(module: pl.LightningModule, row: Mapping[str, float]) -> None:
    """Give a row of training to the loggers as it is, and its values to Lightning's callbacks.

    Lightning has its own idea of when to log, hence not by ``log_dict``.

    Args:
        module: in whose hook this is.
        row: by keys of the glossary, the x-axis among them.
    """
    for logger in module.loggers:
        logger.log_metrics(dict(row), step=module.trainer.global_step)
    tell_values(module, row, to_loggers=False)


def tell_values(
    module: pl.LightningModule, values: Mapping[str, float], *, to_loggers: bool = True
) -> None:
    """Give values to Lightning, as results of an evaluation.

    Args:
        module: in whose hook, or a callback's, this is.
        values: by keys of the glossary; kept as float64, since float32 rounds counts beyond 2^24.
        to_loggers: also to the loggers.
    """
    tensors = {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}
    with warnings.catch_warnings():
        # What goes to loggers is what Trainer.test returns, also where there is no logger.
        warnings.filterwarnings("ignore", message=".*no logger configured.*")
        module.log_dict(tensors, logger=to_loggers)
