"""Ending a run at a signal so that it can be resumed as if never interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint, EarlyStopping, ModelCheckpoint
from pytorch_lightning.callbacks.early_stopping import EarlyStoppingReason

from lightning_dqn.callbacks.learner import replay_data_of
from lightning_dqn.data import ReplayDataModule
from lightning_dqn.environments.workers import WorkerVectorEnv
from lightning_dqn.safekeeping.checkpoint_files import local_path, save
from lightning_dqn.safekeeping.generations import LAST, is_kept
from lightning_dqn.safekeeping.signals import Listener, Stopped
from lightning_dqn.system.ranks import ALONE, Ranks
from lightning_dqn.system.seeding import global_generators, set_global_generators

PATIENCE_SECONDS = 1.5
"""Least time to wait for a worker after a signal."""

PATIENCE_TIMES = 3
"""Time to wait for a worker after a signal, as a multiple of the slowest answer so far."""

_ENDED = "ended_early"
"""Key in a checkpoint of a run that early stopping ended: with which settings."""


class SafeStop(Checkpoint):
    """Saves a checkpoint and ends the run at Ctrl-C, SIGTERM or SIGUSR1, where nothing is lost.

    That is between two iterations, and at any step of an evaluation, which a resumed run plays
    again. In the warm-up there is nothing to save yet. If a worker hangs after the signal, the run
    ends without a save, sooner than the worker's timeout. A second signal ends the run at once and
    overwrites nothing. The run ends by raising
    :class:`lightning_dqn.safekeeping.signals.Stopped`. Several ranks end together, whichever of
    them gets the signal, after finishing what all of them are doing.

    Args:
        path: of the checkpoint; None: ``checkpoints/last.ckpt`` in the Trainer's folder.
    """

    logs_metrics = False

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = None if path is None else Path(path)
        self.listener = Listener()
        self._trainer: pl.Trainer
        self._ranks = ALONE
        self._generators: dict[str, Any] | None = None
        self._is_amid_evaluation = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Register to be called where a run may end; at an epoch's end after all that save then."""
        self._trainer, self._ranks = trainer, Ranks.of(trainer)
        # A new list, for Lightning goes through the old one now.
        others = [one for one in trainer.callbacks if one is not self]  # type: ignore[attr-defined]
        trainer.callbacks = [*others, self]  # type: ignore[attr-defined]
        data = replay_data_of(trainer)
        if data is not None:
            self._leave(data)
            data.between_iterations += [self.save_and_stop, self.save_what_rows_taught]
            data.while_busy.append(self.stop_if_busy)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Hear signals; Lightning has set up its own way with them by now."""
        self._hear()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Hear signals, and keep the generators, from which the evaluation may draw."""
        self._hear()
        self._generators = global_generators()

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Hear signals in an evaluation alone too."""
        self._hear()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop behind all callbacks, this epoch's evaluation counted."""
        self.save_and_stop()

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Leave signals to whom they were before."""
        self._end(trainer)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Likewise."""
        self._end(trainer)

    def save_and_stop(self) -> None:
        """Save and end the run, if a signal came."""
        number = self._agreed() if self._ranks.are_several else self.listener.number
        if number is not None:
            raise Stopped(number, self._path, is_saved=save(self._trainer, self._path))

    def stop_if_busy(self) -> None:
        """End a warm-up as it is, an evaluation with the state before it, if a signal came."""
        if self.listener.number is None or self._ranks.are_several:
            return
        trainer = self._trainer
        is_evaluated = trainer.state.fn == "fit" and trainer.validating
        if is_evaluated and not trainer.sanity_checking:
            assert self._generators is not None, "kept when the evaluation began"
            set_global_generators(self._generators)
            self._is_amid_evaluation = True
            self.save_and_stop()
        raise Stopped(self.listener.number)

    def stop_if_waiting(self, waited: float, longest: float) -> None:
        """End in the midst of an iteration, if a worker seems to hang after a signal.

        Several ranks don't: one that is replaced lets all of them end together.

        Args:
            waited: seconds since the worker was asked.
            longest: the most that one took before for the like.
        """
        if self.listener.number is None or self._ranks.are_several:
            return
        # What was waited for before the signal counts for nothing.
        if min(waited, self.listener.seconds()) > max(PATIENCE_SECONDS, PATIENCE_TIMES * longest):
            raise Stopped(self.listener.number)

    def save_what_rows_taught(self) -> None:
        """Save and end the run, if no more rows will come, as where Ray has died."""
        source = self._trainer.datamodule.source  # type: ignore[attr-defined]
        if (fault := getattr(source, "fault", None)) is not None:
            is_saved = save(self._trainer, self._path)
            saved = (
                f"all so far is saved in {self._path}"
                if is_saved
                else ("what is new couldn't be saved, what was before is as it was")
            )
            raise type(fault)(f"{fault}; {saved}")

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Let a continued run play the whole of an evaluation in whose midst this is saved.

        Of one that early stopping has ended, keep on which terms: Lightning would learn on.
        """
        if any(_has_ended(one, trainer.current_epoch) for one in _stoppings(trainer)):
            checkpoint |= {_ENDED: _terms(trainer)} if trainer.should_stop else {}
        if self._is_amid_evaluation:
            progress = checkpoint["loops"]["fit_loop"]["epoch_loop.val_loop.batch_progress"]
            begun = {"ready": 1, "started": 1, "processed": 0, "completed": 0}
            progress |= {"total": dict(begun), "current": dict(begun), "is_last_batch": False}

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Take rows away that loggers had of what comes again, and follow a folder that moved.

        A run that early stopping has ended is over, unless it is to end on other terms now.
        """
        if trainer.state.fn != "fit":
            return
        trainer.should_stop = checkpoint.get(_ENDED) == _terms(trainer)
        for logger in trainer.loggers:
            if self._ranks.is_first and hasattr(logger, "rewind"):
                logger.rewind(checkpoint["dqn"]["env_steps"], checkpoint["global_step"])
        for callback in trainer.checkpoint_callbacks:
            state = checkpoint["callbacks"].get(callback.state_key)
            if not isinstance(callback, ModelCheckpoint) or state is None:
                continue
            if local_path(folder := str(callback.dirpath)) is not None:
                _follow(state, folder)
                _forget_missing(state)

    def _hear(self) -> None:
        self.listener.start()
        WorkerVectorEnv.while_waiting = self.stop_if_waiting

    def _agreed(self) -> int | None:
        """Return the signal that one of several ranks heard, if one did."""
        heard = torch.tensor(self.listener.number or 0)
        return int(self._ranks.gather(heard).max()) or None

    @property
    def _path(self) -> Path:
        return self.path or Path(self._trainer.default_root_dir, "checkpoints", LAST)

    def _end(self, trainer: pl.Trainer) -> None:
        self.listener.stop()
        if WorkerVectorEnv.while_waiting == self.stop_if_waiting:
            WorkerVectorEnv.while_waiting = None
        data = replay_data_of(trainer)
        if data is not None:
            self._leave(data)

    def _leave(self, data: ReplayDataModule) -> None:
        for functions, own in (
            (data.between_iterations, self.save_and_stop),
            (data.between_iterations, self.save_what_rows_taught),
            (data.while_busy, self.stop_if_busy),
        ):
            if own in functions:
                functions.remove(own)


def _stoppings(trainer: pl.Trainer) -> list[EarlyStopping]:
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return [one for one in callbacks if isinstance(one, EarlyStopping)]


def _has_ended(stopping: EarlyStopping, epoch: int) -> bool:
    """Tell whether early stopping ends the run in this epoch; of none it says 0 too."""
    is_stopped = stopping.stopping_reason != EarlyStoppingReason.NOT_STOPPED
    return is_stopped and stopping.stopped_epoch == epoch


def _terms(trainer: pl.Trainer) -> list[Any]:
    """Return how long a run is, and by what early stopping ends it."""
    per_epoch = getattr(trainer.datamodule, "env_steps_per_epoch", None)  # type: ignore[attr-defined]
    limits = [trainer.max_epochs, trainer.max_steps, per_epoch]
    stoppings = [
        [one.monitor, one.patience, one.min_delta, one.stopping_threshold, one.divergence_threshold]
        for one in _stoppings(trainer)
    ]
    return [*limits, *stoppings]


def _follow(state: dict[str, Any], folder: str) -> None:
    """Let the files that a ``ModelCheckpoint`` knows lie where it writes now.

    Of a folder that was moved it would forget which is the best, and write a worse one over it;
    and what a checkpoint names elsewhere isn't its to delete.
    """
    before = Path(state["dirpath"] or folder)

    def moved(path: str) -> str:
        file = Path(path)
        is_inside = file.is_relative_to(before) and ".." not in file.parts
        return str(Path(folder, file.relative_to(before) if is_inside else file.name))

    state["best_k_models"] = {moved(path): v for path, v in state["best_k_models"].items()}
    for name in ("best_model_path", "kth_best_model_path", "last_model_path"):
        state[name] = state[name] and moved(state[name])
    state["dirpath"] = folder


def _forget_missing(state: dict[str, Any]) -> None:
    """Let a ``ModelCheckpoint`` that finds none of its best ones begin anew.

    Those of another run aren't here, and their scores may be of other evaluations.
    """
    if state["best_k_models"] and not any(is_kept(Path(one)) for one in state["best_k_models"]):
        state |= {"best_k_models": {}, "best_model_path": "", "best_model_score": None}
        state |= {"kth_best_model_path": "", "current_score": None}
        state.pop("kth_value", None)
