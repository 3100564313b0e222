"""Brings what is known of a run up to date, from the thread that draws; it reads and no more."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import pytorch_lightning as pl

from lightning_dqn.data import ReplayDataModule
from lightning_dqn.dqn import DQN
from lightning_dqn.learning.run_length import end_of, env_steps_at_end_of_fit
from lightning_dqn.live.state import Phase, State
from lightning_dqn.live.tuning import Tuning

_SPEED_FRAMES = 20
"""Frames over which speeds are measured: ten seconds."""


class Watch:
    """Looks at a run's Trainer, module and data module.

    Args:
        state: what is kept up to date.
        trainer: of a fit.
        module: that learns.
        data: that collects.
        tuning: what was changed by hand.
        name: of the run.
    """

    def __init__(
        self,
        state: State,
        trainer: pl.Trainer,
        module: DQN,
        data: ReplayDataModule,
        tuning: Tuning,
        name: str,
    ) -> None:
        self._state, self._trainer, self._module, self._data = state, trainer, module, data
        self._tuning = tuning
        self._seen: deque[tuple[float, int, int]] = deque(maxlen=_SPEED_FRAMES)
        self.is_paused = False
        self.is_stopping = False
        state.name = name
        state.device = str(trainer.strategy.root_device)
        state.folder = str(trainer.default_root_dir)

    def look(self) -> None:
        """Bring the state up to date."""
        state, module, trainer, data = self._state, self._module, self._trainer, self._data
        state.phase = self._phase()
        state.env_steps = self._env_steps()
        state.updates = module.updates
        state.epoch = trainer.current_epoch
        state.epochs = end_of(trainer.max_epochs)
        state.total_env_steps = env_steps_at_end_of_fit(trainer, data.pace, module.env_steps)
        batches: Any = trainer.num_training_batches
        each = data.pace.env_steps_per_iteration
        done = trainer.fit_loop.epoch_loop.batch_progress.current.completed
        state.epoch_env_steps = (done * each, int(batches) * each)
        ring = data.replay
        state.fill = None if ring is None else ring.times_stored / ring.num_times
        state.tunable = self._tuning.values(module, data)
        state.changed = [str(one) for one in self._tuning.changes]
        self._measure()

    def _phase(self) -> Phase:
        if self.is_stopping:
            return "stopping"
        if self.is_paused:
            return "paused"
        if self._trainer.validating or self._trainer.sanity_checking:
            return "evaluation"
        if self._module.updates == 0 and self._env_steps() < self._data.pace.warmup_env_steps:
            return "warm-up"
        return "training"

    def _env_steps(self) -> int:
        """Return env steps as they are collected, in the warm-up too."""
        collector = self._data.collector
        return max(self._module.env_steps, 0 if collector is None else collector.env_steps)

    def _measure(self) -> None:
        now = (time.monotonic(), self._state.env_steps, self._state.updates)
        self._seen.append(now)
        then = self._seen[0]
        seconds = now[0] - then[0]
        if seconds > 0:
            self._state.speed = (now[1] - then[1]) / seconds
            self._state.updates_speed = (now[2] - then[2]) / seconds
