"""The jobs of a sweep by a launcher of Hydra's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher as HydraLauncher

from lightning_dqn.runs.jobs import SweepJob
from lightning_dqn.runs.mistakes import one_line
from lightning_dqn.runs.resume import CHECKPOINT, quoted
from lightning_dqn.study.launcher import Ended
from lightning_dqn.study.sweep import Sweep


class ByHydra:
    """A launcher of Hydra's; what became of its jobs is read in their folders.

    Args:
        launcher: set up.
        batch_size: jobs that are handed over at once; None: all.
    """

    def __init__(self, launcher: HydraLauncher, batch_size: int | None = None) -> None:
        self._launcher = launcher
        self._batch_size = batch_size

    def run(self, sweep: Sweep, jobs: Iterator[SweepJob], ended: Ended) -> None:
        """Run jobs to their end; see :class:`lightning_dqn.study.launcher.Launcher`."""
        number = 0
        while batch := list(islice(jobs, self._batch_size)):
            for job in batch:
                sweep.clear(job)
            reasons = self._launch([_overrides(sweep, job) for job in batch], number)
            for job, reason in zip(batch, reasons, strict=True):
                ended(job, _reason(sweep, job, reason))
            number += len(batch)

    def _launch(self, jobs: list[list[str]], number: int) -> list[str | None]:
        """Launch jobs; return what each, or the launcher for all, failed of."""
        try:
            returned = self._launcher.launch(jobs, initial_job_idx=number)
        except Exception as error:  # as when the process of a job died
            if os.environ.get("HYDRA_FULL_ERROR") == "1":
                raise
            return [f"{type(self._launcher).__name__}: {one_line(error)}"] * len(jobs)
        return [_error(one) for one in returned]


def _error(returned: JobReturn) -> str | None:
    if returned.status != JobStatus.FAILED:
        return None
    error = vars(returned)["_return_value"]  # which it prints and raises where it is asked for it
    return one_line(error)


def _overrides(sweep: Sweep, job: SweepJob) -> list[str]:
    placed = f"hydra.sweep.subdir={quoted(Path(job.name))}"
    if not sweep.goes_on(job):
        return [*job.overrides, placed]
    checkpoint = (sweep.run_dir(job) / CHECKPOINT).absolute()
    return [*job.overrides, placed, f"ckpt_path={quoted(checkpoint)}"]


def _reason(sweep: Sweep, job: SweepJob, told: str | None) -> str | None:
    if sweep.is_over(job):
        return None
    return sweep.failure(job) or told or "it ended without a word; was its process killed?"
