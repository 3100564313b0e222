"""Rows of metrics on their way through Lightning: to its loggers and to its callbacks.

Their step, a logger's x-axis, is the env steps so far. A callback with a method ``take_row(module,
row)`` is given each as the loggers are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from lightning_dqn.system.ranks import Ranks

ON_PROGRESS_BAR = frozenset({"train/loss", "rollout/episode_return", "eval/episode_return"})
"""What Lightning's progress bars show."""


def row_is_due(trainer: pl.Trainer) -> bool:
    """Tell whether a row of training follows the iteration that a Trainer is in, or has ended."""
    period: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
    return period > 0 and trainer.global_step % period == 0


def tell_row(module: Any, row: Mapping[str, float]) -> None:
    """Give a row of training to the loggers as it is, and its values to Lightning's callbacks.

    Args:
        module: a DQN in whose hook this is.
        row: by keys of the glossary, the x-axis among them.
    """
    _tell_as_it_is(module, row)
    shown = ON_PROGRESS_BAR & row.keys()
    if not module.trainer.barebones:
        module.log_dict(_as_tensors({k: row[k] for k in shown}), logger=False, prog_bar=True)


def tell_look(module: Any, row: Mapping[str, float]) -> None:
    """Give a row of many values to the loggers as it is, and to callbacks that ask for metrics.

    Of several ranks, each of which looks at its own part, all have what the first one sees.

    Args:
        module: a DQN in whose fit this is.
        row: by keys of the glossary, the x-axis among them.
    """
    _tell_as_it_is(module, Ranks.of(module.trainer).first_ones(dict(row)))


def _tell_as_it_is(module: Any, row: Mapping[str, float]) -> None:
    """Give a row to the loggers, and to callbacks that ask for metrics.

    Not by Lightning's ``log_dict``: it has its own idea of when to log, takes longer over each
    value than finding it took, and carries all of them through every batch that follows.
    """
    for logger in module.loggers:
        logger.log_metrics(dict(row), step=module.env_steps)
    _tell_callbacks(module, row)
    if not module.trainer.barebones:
        module.trainer.callback_metrics.update(_as_tensors(row))


def tell_evaluation(module: Any, row: Mapping[str, float]) -> None:
    """Give a row of evaluation to Lightning, and all that is logged with it its step.

    Args:
        module: a DQN in whose hook this is.
        row: by keys of the glossary, the x-axis among them.
    """
    # Lightning takes a metric of this name for the step of its row.
    tell_values(module, {**row, "step": row["time/env_steps"]})


def tell_values(module: pl.LightningModule, values: Mapping[str, float]) -> None:
    """Give values to Lightning, as results of an evaluation.

    They lie on the CPU, so that a progress bar reads nothing from an accelerator. Of several ranks
    all have what the first one found, for a checkpoint may be chosen by it.

    Args:
        module: in whose hook, or a callback's, this is.
        values: by keys of the glossary; kept as float64, since float32 rounds counts beyond 2^24.
    """
    values = Ranks.of(module.trainer).first_ones(dict(values))
    _tell_callbacks(module, values)
    if module.trainer.barebones:
        return
    tensors = _as_tensors(values)
    shown = {name: tensors.pop(name) for name in ON_PROGRESS_BAR & tensors.keys()}
    module.log_dict(tensors)
    module.log_dict(shown, prog_bar=True)


def _tell_callbacks(module: Any, row: Mapping[str, float]) -> None:
    for callback in module.trainer.callbacks:
        if (take := getattr(callback, "take_row", None)) is not None:
            take(module, row)


def _as_tensors(values: Mapping[str, float]) -> dict[str, Tensor]:
    return {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}
