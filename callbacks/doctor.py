"""Tells what goes wrong with a run while it runs, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_warn

from lightning_dqn.callbacks.learner import dqn_of, replay_data_of
from lightning_dqn.callbacks.target_network import EMATargetNetwork
from lightning_dqn.diagnostics.doctor.examination import Examination
from lightning_dqn.diagnostics.doctor.facts import facts_of
from lightning_dqn.diagnostics.doctor.rule import Facts, Finding
from lightning_dqn.dqn import DQN
from lightning_dqn.system.files import FINDINGS, write_json


class Doctor(pl.Callback):
    """Checks a run's metrics against rules, and reports each finding once.

    The rules are :data:`lightning_dqn.diagnostics.doctor.examination.RULES`. It reads the rows that
    go to loggers, measures nothing itself and doesn't affect learning; most of what the rules read
    is logged by :class:`lightning_dqn.callbacks.Diagnostics`.

    Args:
        run_dir: folder of the run, for ``findings.json``; None: it isn't written.
    """

    def __init__(self, run_dir: str | Path | None = None) -> None:
        self.run_dir = None if run_dir is None else Path(run_dir)
        self._examination = Examination(Facts())
        self._restored: dict[str, Any] | None = None

    @property
    def findings(self) -> list[Finding]:
        """Findings so far, in the order in which they began."""
        return list(self._examination.findings.values())

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Forget what a checkpoint brought that was evaluated."""
        self._restored = None

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin, or go on where a checkpoint ends."""
        module, data = dqn_of(self, pl_module), replay_data_of(trainer)
        facts = Facts() if data is None else facts_of(module, data)
        callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
        facts = facts._replace(target_lags=any(_lags(one, facts) for one in callbacks))
        self._examination = Examination(facts)
        if self._restored is not None:
            self._examination.load_state_dict(self._restored)
            self._restored = None

    def take_row(self, module: DQN, row: Mapping[str, float]) -> None:
        """Look at a row that is told, see :mod:`lightning_dqn.reporting.telling`."""
        began = self._examination.take(module.env_steps, row)
        for finding in began:
            rank_zero_warn(f"doctor: {finding}")
        if began:
            self._write(module.trainer)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep when each was seen last."""
        self._write(trainer)

    def state_dict(self) -> dict[str, Any]:
        """Return what a continued run looks back on."""
        return self._examination.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it back, for the fit that follows."""
        self._restored = state_dict

    def _write(self, trainer: pl.Trainer) -> None:
        if self.run_dir is None or not trainer.is_global_zero:
            return
        found = [finding._asdict() for finding in self.findings]
        try:
            self.run_dir.mkdir(parents=True, exist_ok=True)
            facts = self._examination.facts._asdict()
            write_json(self.run_dir / FINDINGS, {"facts": facts, "findings": found})
        except OSError as error:
            rank_zero_warn(
                f"{self.run_dir / FINDINGS}: couldn't be written: {error.strerror}; the run "
                "continues"
            )


def _lags(callback: pl.Callback, facts: Facts) -> bool:
    """Tell whether a callback moves the target network less often than after every update."""
    if not isinstance(callback, EMATargetNetwork) or callback.network != "target_network":
        return False
    period, per_env_step = callback.period, facts.updates_per_env_step or 1.0
    return period.length * (per_env_step if period.counts_env_steps else 1) > 1
