"""A run's dashboard in the terminal, and its keys, which control the run."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ProgressBar
from pytorch_lightning.utilities import rank_zero_warn

from lightning_dqn.callbacks.learner import replay_data_of
from lightning_dqn.callbacks.progress import EnvStepProgressBar
from lightning_dqn.callbacks.safe_stop import SafeStop
from lightning_dqn.data import ReplayDataModule
from lightning_dqn.dqn import DQN
from lightning_dqn.live.choice import Request
from lightning_dqn.live.desk import Desk
from lightning_dqn.live.extra_evaluation import ExtraEvaluation
from lightning_dqn.live.glance import glance
from lightning_dqn.live.listening import ListeningLogger
from lightning_dqn.live.screen import table
from lightning_dqn.live.seeds import bands_of_other_seeds
from lightning_dqn.live.state import State
from lightning_dqn.live.stopping import end_run, wait_while
from lightning_dqn.live.tuning import Tuning
from lightning_dqn.live.wanted import has_colour, why_not
from lightning_dqn.live.watch import Watch
from lightning_dqn.reporting.metrics_file import METRICS
from lightning_dqn.safekeeping.checkpoint_files import save
from lightning_dqn.safekeeping.signals import Listener
from lightning_dqn.system.faults import first_line
from lightning_dqn.system.files import CHANGED_BY_HAND, write_json

BY_HAND_TAG = "changed-by-hand"
"""Of a run in W&B."""

_transcript = logging.getLogger("lightning_dqn.transcript")


class LiveDashboard(pl.Callback):
    """Shows a fit in the terminal while it runs, and acts on keys between iterations.

    What is learned is the same bit for bit as long as no key changes it: environments,
    generators and networks are left as they are. A change by hand is logged in a row, saved in
    checkpoints, listed in the run's summary, and tags the run in W&B.

    Args:
        show: ``auto`` shows it in a real terminal of at least 80x24 in the foreground, and
            otherwise leaves the output to the progress bar, or shows nothing without one; true
            refuses to run if it can't be shown.
        name: of the run; None: that of its folder.

    Raises:
        ValueError: ``show`` is something else.
    """

    def __init__(self, *, show: Literal["auto"] | bool = "auto", name: str | None = None) -> None:
        if show not in ("auto", True, False):
            raise ValueError(f"show={show!r}: choose auto, true or false")
        self.show = show
        self.name = name
        self.tuning = Tuning()
        self._desk: Desk | None = None
        self._watch: Watch
        self._logger: ListeningLogger
        self._evaluation = ExtraEvaluation()
        self._trainer: pl.Trainer
        self._has_colour = False
        self._can_look = True  # at environment 0

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse what can't be shown though it must be."""
        if stage == "fit" and self.show is True and trainer.world_size > 1:
            raise ValueError(
                f"show=True: what its keys ask for would reach one of {trainer.world_size} ranks "
                "alone; auto shows none there"
            )
        if stage == "fit" and self.show is True and (reason := why_not(os.environ)):
            raise ValueError(f"show=True: {reason}; auto shows a dashboard where it can be")

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put in force what was changed by hand before, and open the dashboard."""
        data = replay_data_of(trainer)
        if data is None or not isinstance(pl_module, DQN):
            return
        self._trainer = trainer
        self.tuning.apply(data)
        self._evaluation.resume(trainer)
        self._mark()
        if self._is_wanted(trainer):
            self._open(trainer, pl_module, data)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Go back to the Trainer's own evaluations."""
        self._evaluation.undo(trainer)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Let an evaluation that was asked for follow this batch."""
        self._evaluation.let_follow(trainer, batch_idx)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """See how other seeds are by now."""
        if self._desk is not None and self._desk.compares_seeds:
            self._desk.state.bands = bands_of_other_seeds(Path(trainer.default_root_dir))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Go back to the Trainer's own evaluations."""
        self._evaluation.undo(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the dashboard."""
        self._close(trainer)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Close the dashboard."""
        self._close(trainer)

    def state_dict(self) -> dict[str, Any]:
        """Return what was changed by hand, and an evaluation that is to come."""
        return {**self.tuning.state_dict(), **self._evaluation.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take them back."""
        self.tuning.load_state_dict(state_dict)
        self._evaluation.load_state_dict(state_dict)

    @property
    def evaluates_by_key(self) -> bool:
        """Whether the evaluation that goes on is one that a key asked for, beside the run's own."""
        return self._evaluation.is_begun

    # --- the dashboard

    def _is_wanted(self, trainer: pl.Trainer) -> bool:
        if self.show == "auto":
            has_bar = trainer.progress_bar_callback is not None
            is_alone = trainer.world_size == 1  # what keys ask for would reach one rank of several
            return is_alone and has_bar and not why_not(os.environ)
        return self.show

    def _open(self, trainer: pl.Trainer, module: DQN, data: ReplayDataModule) -> None:
        folder = Path(trainer.default_root_dir)
        state = State(bands=bands_of_other_seeds(folder))
        if trainer.ckpt_path is not None:
            state.history.add_rows(folder / METRICS, module.env_steps)
        name = self.name or folder.name
        self._watch = Watch(state, trainer, module, data, self.tuning, name)
        self._has_colour, self._can_look = has_colour(os.environ), True
        desk = Desk(state, look=self._watch.look, end=self._end, colour=self._has_colour)
        try:
            desk.open()
        except OSError as error:  # as where another run's dashboard has the terminal
            rank_zero_warn(f"LiveDashboard: it can't have the terminal: {error.strerror}")
            return
        self._desk = desk
        self._logger = ListeningLogger(desk)
        trainer.loggers.append(self._logger)
        data.between_iterations.insert(0, self._between)
        data.while_busy.append(self._glance)
        if (bar := _bar_of_another(trainer)) is not None:
            bar.disable()

    def _close(self, trainer: pl.Trainer) -> None:
        self._evaluation.undo(trainer)
        desk, self._desk = self._desk, None
        if desk is None:
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        data.between_iterations.remove(self._between)
        data.while_busy.remove(self._glance)
        trainer.loggers.remove(self._logger)
        desk.close()
        if (bar := _bar_of_another(trainer)) is not None:
            bar.enable()
        if desk.failure is not None:
            rank_zero_warn(f"LiveDashboard: it ended before the run: {desk.failure!r}")
        if desk.state.history.series:
            print("\n".join(table(desk.state, desk.width)), flush=True)

    # --- what keys ask for, in the training thread

    def _between(self) -> None:
        desk = self._desk
        assert desk is not None
        self._glance()
        while desk.requests:
            self._act(desk, desk.requests.popleft())

    def _glance(self) -> None:
        desk = self._desk
        if desk is None or not self._can_look or not desk.wants_glance:
            return
        desk.wants_glance = False
        module, data = self._parts()
        seen, reason = None, "rows come from elsewhere than an environment"
        try:
            seen = glance(module, data, colour=self._has_colour)
        except Exception as error:  # of an environment of the user's; the run continues
            self._can_look = False
            reason = f"it can't be looked at: {first_line(error)}"
        with desk.lock:
            desk.state.glance = seen
            desk.state.glance_reason = reason

    def _act(self, desk: Desk, request: Request) -> None:
        if request.what == "save":
            self._save(desk)
        elif request.what == "evaluate":
            self._evaluation.ask(self._trainer)
            desk.say(
                "evaluation follows" if self._evaluation.is_asked else "nothing to evaluate by"
            )
        elif request.what == "change":
            self._change(desk, request)
        else:
            self._pause(desk)

    def _save(self, desk: Desk) -> None:
        module, _ = self._parts()
        name = f"by_key_env_step_{module.env_steps:09d}.ckpt"
        path = Path(self._trainer.default_root_dir, "checkpoints", name)
        is_saved = save(self._trainer, path)
        desk.say(f"saved {path.name}" if is_saved else f"{path.name} couldn't be saved")

    def _change(self, desk: Desk, request: Request) -> None:
        module, data = self._parts()
        changed = self.tuning.change(request.name, request.steps, module, data)
        if changed is None:
            desk.say(f"{request.name} can't be changed in this run")
            return
        now = self.tuning.values(module, data)
        keys = {"epsilon": "rollout/epsilon", "learning rate": "train/learning_rate"}
        row = {keys[name]: value for name, value in now.items()}
        for logger in module.loggers:
            logger.log_metrics({**row, "time/env_steps": module.env_steps}, step=module.env_steps)
        _transcript.info("changed by hand: %s", changed)
        self._mark()
        desk.say(f"changed: {changed}")

    def _pause(self, desk: Desk) -> None:
        self._watch.is_paused = True
        desk.say("paused; p continues")
        wait_while(lambda: self._is_to_wait(desk))
        self._watch.is_paused = False
        desk.say("continued")
        module, _ = self._parts()
        module.report.start_clock(module.env_steps, module.updates)

    def _is_to_wait(self, desk: Desk) -> bool:
        """Tell whether a pause goes on; meanwhile do what may be done in it."""
        self._glance()
        while desk.requests:
            request = desk.requests.popleft()
            if request.what == "pause":
                return False
            self._act(desk, request)
            if request.what == "evaluate":
                return False
        is_stopped = any(one.number is not None for one in self._listeners())
        return not (is_stopped or self._trainer.received_sigterm or self._trainer.should_stop)

    def _end(self, request: Request) -> None:
        """End the run; called in the thread that draws."""
        self._watch.is_stopping = True
        end_run(self._trainer, self._listeners(), at_once=request.what == "stop now")

    def _mark(self) -> None:
        """Let the run's folder and W&B say what was changed by hand, as its checkpoints do."""
        if not self._trainer.is_global_zero:
            return
        if self.tuning.changes:
            for logger in self._trainer.loggers:
                if hasattr(logger, "tag"):
                    logger.tag(BY_HAND_TAG)
        path = Path(self._trainer.default_root_dir, CHANGED_BY_HAND)
        try:
            if self.tuning.changes:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_json(path, [one._asdict() for one in self.tuning.changes])
            else:
                path.unlink(missing_ok=True)
        except OSError as error:  # as on a full disk, which ends no run
            rank_zero_warn(f"{path}: couldn't be written: {error.strerror}; the run continues")

    def _listeners(self) -> list[Listener]:
        callbacks: list[pl.Callback] = self._trainer.callbacks  # type: ignore[attr-defined]
        return [one.listener for one in callbacks if isinstance(one, SafeStop)]

    def _parts(self) -> tuple[DQN, ReplayDataModule]:
        module: Any = self._trainer.lightning_module
        data: Any = self._trainer.datamodule  # type: ignore[attr-defined]
        return module, data


def _bar_of_another(trainer: pl.Trainer) -> ProgressBar | None:
    """Return a bar that would write at every iteration though nobody sees it."""
    bar = trainer.progress_bar_callback
    return None if isinstance(bar, EnvStepProgressBar) else bar
