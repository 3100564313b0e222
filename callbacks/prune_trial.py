"""Pruning of a search's trial that does worse than others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from lightning_dqn.dqn import DQN
from lightning_dqn.live.extra_evaluation import is_by_key
from lightning_dqn.reporting.optuna_study import (
    METRIC,
    PRUNER,
    STUDY,
    UNKNOWN_METRIC,
    load_optuna,
    make_pruner,
    open_storage,
    quiet,
)
from lightning_dqn.system.files import PRUNED, write_json


class PruneTrial(pl.Callback):
    """Reports each evaluation's value to an Optuna trial, and ends the run if it is pruned.

    Trials are compared at the same step: the env steps of the epochs so far, without the warm-up.
    A pruned run leaves ``pruned.json`` in its folder, and plays no test episodes. Nothing is
    reported to a trial that has already ended, as when its run is resumed alone, or from an
    evaluation that a key of the dashboard starts.

    Args:
        trial: its id in the study.
        storage: the study's file, through which any process can reach it.
        run_dir: folder of the run.
        study_name: name of the study in that file.
    """

    def __init__(
        self, trial: int, *, storage: str | Path, run_dir: str | Path, study_name: str = STUDY
    ) -> None:
        load_optuna()
        self.trial = trial
        self.storage = Path(storage)
        self.run_dir = Path(run_dir)
        self.study_name = study_name

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report to the trial, and stop after this epoch if it is to be pruned."""
        if trainer.sanity_checking or trainer.state.fn != "fit" or is_by_key(trainer):
            return
        assert isinstance(pl_module, DQN)
        is_pruned = trainer.is_global_zero and self._is_pruned(trainer, pl_module)
        if trainer.strategy.broadcast(is_pruned):
            trainer.should_stop = True

    def _is_pruned(self, trainer: pl.Trainer, module: DQN) -> bool:
        study = self._study()
        trial = load_optuna().trial.Trial(study, self.trial)
        if study.trials[trial.number].state.is_finished():
            return False
        value = _value(trainer, study.user_attrs[METRIC])
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        step = (trainer.current_epoch + 1) * data.env_steps_per_epoch
        with quiet():
            trial.report(value, step)
            if _is_last(trainer) or not trial.should_prune():
                return False
        pruned = {"env_steps": module.env_steps, "value": value, "metric": study.user_attrs[METRIC]}
        write_json(self.run_dir / PRUNED, pruned)
        return True

    def _study(self) -> Any:
        if not self.storage.is_file():  # which opening it would make
            raise ValueError(f"storage={self.storage}: there is no such file")
        optuna, storage = load_optuna(), open_storage(self.storage)
        study = optuna.load_study(study_name=self.study_name, storage=storage)
        study.pruner = make_pruner(study.user_attrs[PRUNER])
        return study


def _is_last(trainer: pl.Trainer) -> bool:
    """Return whether the run ends here anyway, so that nothing would be spared."""
    epochs = trainer.max_epochs
    return epochs is not None and 0 <= epochs <= trainer.current_epoch + 1


def _value(trainer: pl.Trainer, metric: str) -> float:
    values = trainer.callback_metrics
    if metric not in values:
        known = sorted(key for key in values if key.startswith("eval/"))
        raise ValueError(UNKNOWN_METRIC.format(metric, ", ".join(known)))
    return float(values[metric])
