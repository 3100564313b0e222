"""W&B as a logger: env steps as x-axis, a run that is told how it began and how it ended.

W&B is a guest in a training run: it never asks for a login, never holds the run up for more than
a few seconds and, where it cannot be online, records to disk and says so in one line.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from lightning_fabric.loggers.logger import rank_zero_experiment
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import WandbLogger as LightningWandbLogger
from pytorch_lightning.utilities import rank_zero_only

from lightning_dqn.reporting.glossary import best_is
from lightning_dqn.reporting.wandb_artifacts import checkpoint_artifacts
from lightning_dqn.reporting.wandb_end import end_run
from lightning_dqn.reporting.wandb_start import WandbStart

STEP_METRIC = "time/env_steps"


_VARIABLES = {"name": "WANDB_NAME", "group": "WANDB_RUN_GROUP", "job_type": "WANDB_JOB_TYPE"}
"""What a run is described by -> the variable by which W&B takes it."""


class WandbLogger(LightningWandbLogger):
    """Lightning's ``WandbLogger`` that goes offline by itself and plots against env steps.

    ``offline=True``, ``WANDB_MODE`` and ``mode=`` are obeyed. Otherwise the run is online if an
    API key is found, the host accepts a connection within 2 s and ``wandb.init`` succeeds within
    3 s; if not, it is recorded offline, and one warning says why, where, and how to upload it.

    Every metric's x-axis is ``time/env_steps``. A row that lacks it gets the last one logged. Of a
    metric with a best value the run's summary has the best and the last.

    ``WANDB_NAME``, ``WANDB_NOTES``, ``WANDB_RUN_GROUP``, ``WANDB_JOB_TYPE`` and
    ``WANDB_RUN_ID`` hold for what isn't an argument; ``WANDB_TAGS`` are added to the tags.

    Args:
        name: Display name of the run; see :meth:`describe`.
        save_dir: Directory that gets W&B's ``wandb`` folder; made if it does not exist.
        project: Project of the run; None takes ``WANDB_PROJECT``, else ``lightning-dqn``.
        tags: Labels of the run.
        group: Runs of one group are shown together, for example the seeds of one setting.
        offline: Record to disk only.
        id_path: File that keeps the run's id: where it lies from before, that run goes on.
        log_model: Upload as artifacts the best checkpoint at the end (True), or each one
            (``"all"``), with the run's configuration where ``save_dir`` is the run's folder.
            Turned off with a notice when the run is offline.
        alert: Send an alert when the run ends with an error.
        **kwargs: As for Lightning's ``WandbLogger``, hence also ``wandb.init``. A dictionary of
            ``settings`` is laid over the quiet ones used here, a ``wandb.Settings`` replaces them.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        save_dir: str | Path = ".",
        project: str | None = None,
        tags: Sequence[str] = (),
        group: str | None = None,
        offline: bool = False,
        id_path: str | Path | None = None,
        log_model: Literal["all"] | bool = False,
        alert: bool = False,
        **kwargs: Any,
    ) -> None:
        # W&B's reports of its own errors go to the host that may be the one not answering, and
        # would hold up the end of the process for 20 s.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        project = project or os.environ.get("WANDB_PROJECT", "lightning-dqn")
        given = [tag for tag in os.environ.get("WANDB_TAGS", "").split(",") if tag]
        labels = list(dict.fromkeys([*tags, *given])) or None
        super().__init__(name, save_dir, project=project, group=group, tags=labels, **kwargs)
        # Lightning's own `offline` would set WANDB_MODE for every later run of the process.
        if offline:
            self._wandb_init["mode"] = "offline"
        self._log_model = log_model
        self._alert = alert
        self._id_path = None if id_path is None else Path(id_path)
        self._commit: str | None = None
        self._defined: set[str] = set()
        self._received = -math.inf  # env steps that a continued run has told W&B before
        self._is_known = self._has_ended = False

    def describe(self, *, name: str, group: str, job_type: str, commit: str | None = None) -> None:
        """Say what the run is, before it starts; what the user said otherwise holds.

        Args:
            name: display name.
            group: of the runs that it is compared with.
            job_type: ``train``, ``evaluate`` or ``sweep``.
            commit: of the code that runs.
        """
        for key, value in {"name": name, "group": group, "job_type": job_type}.items():
            if self._wandb_init.get(key) is None and not os.environ.get(_VARIABLES[key]):
                self._wandb_init[key] = value
        self._commit = commit

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The W&B run, started on first use; a dummy on ranks other than zero."""
        import wandb

        attached = getattr(self, "_attach_id", None)
        if self._experiment is None and wandb.run is None and attached is None:
            self._experiment = self._start()
            self._log_model = self._log_model and not self._experiment.offline
        run = super().experiment
        if not self._is_known:
            self._is_known = True
            run.define_metric(STEP_METRIC)
            run.define_metric("*", step_metric=STEP_METRIC, step_sync=True, overwrite=True)
        return run

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log a row, unless W&B has it from before a restart."""
        run = self.experiment
        if metrics.get(STEP_METRIC, self._received) <= self._received > -math.inf:
            return
        self._received = -math.inf
        for key in metrics.keys() - self._defined:
            if (best := best_is(key)) is not None:
                summary = f"{best},last"
                run.define_metric(key, step_metric=STEP_METRIC, step_sync=True, summary=summary)
        self._defined |= metrics.keys()
        super().log_metrics(metrics, step)

    @rank_zero_only
    def save_text(self, name: str, text: str) -> None:
        """Give the run a file."""
        folder = Path(self.experiment.dir)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
        self.experiment.save(str(folder / name), base_path=str(folder), policy="now")

    @rank_zero_only
    def tag(self, label: str) -> None:
        """Give the run a label beside those that it has."""
        run = self.experiment
        if label not in (run.tags or ()):
            run.tags = (*(run.tags or ()), label)

    @rank_zero_only
    def rewind(self, env_steps: int, global_step: int) -> None:
        """Leave out the rows of env steps that a continued run takes again, where W&B has them.

        W&B keeps what it has received, so that the rows of before stay. Of a run that is recorded
        offline nobody knows what W&B will have, and all are recorded.

        Args:
            env_steps: of the checkpoint from which it goes on.
            global_step: likewise; rows without env steps are all sent.
        """
        run = self.experiment
        if run.resumed:
            received = run.summary.get(STEP_METRIC, env_steps)
            self._received = received if received > env_steps else -math.inf

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Upload checkpoints where that is asked for: the best, of those that know which it is."""
        known = self._checkpoint_callbacks
        if any(callback.monitor for callback in known.values()):
            self._checkpoint_callbacks = {n: c for n, c in known.items() if c.monitor}
        super().finalize(status)

    @rank_zero_only
    def end(self, error: BaseException | None = None) -> None:
        """End the W&B run, and say how: finished, failed or preempted.

        A run that a scheduler's signal ended is preempted, one that Ctrl-C or an error ended has
        failed. Where W&B doesn't answer this takes a minute at most, ten with checkpoints.

        Args:
            error: that ended the run.
        """
        run: Any = self._experiment
        if run is None or self._has_ended:
            return
        self._has_ended = True
        end_run(run, error, alert=self._alert)

    def _start(self) -> Any:
        start = WandbStart(
            self._wandb_init,
            folder=Path(self.save_dir or "."),
            id_path=self._id_path,
            commit=self._commit,
            uploads=bool(self._log_model),
        )
        return start.run()

    def _scan_and_log_checkpoints(self, checkpoint_callback: ModelCheckpoint) -> None:
        run = self.experiment
        name = self._checkpoint_name or f"model-{run.id}"
        found = checkpoint_artifacts(
            checkpoint_callback, name, Path(self.save_dir or "."), self._logged_model_time
        )
        for artifact, aliases in found:
            run.log_artifact(artifact, aliases=aliases)
