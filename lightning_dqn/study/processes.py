"""Jobs in processes of their own, several at once, none forgotten."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence

from lightning_dqn.runs.jobs import ALONE, SweepJob
from lightning_dqn.runs.resume import quoted
from lightning_dqn.runs.trust import trusted
from lightning_dqn.safekeeping.signals import Stopped
from lightning_dqn.study.launcher import Ended
from lightning_dqn.study.sweep import Sweep
from lightning_dqn.system.files import SUMMARY
from lightning_dqn.system.processes import PARENT

POLL_SECONDS = 0.2
STOP_SECONDS = 600.0
"""A job has to save what it has, as a large replay ring to a slow disk."""
_MOST_NAMED = 8

Running = dict[SweepJob, subprocess.Popen[bytes]]


class Processes:
    """Runs each job as a command of its own, whose output goes to a file beside its folder.

    Whatever ends it early, as Ctrl-C, ends the jobs, which save what they have; what comes while
    they do, as another Ctrl-C, ends them at once.

    Args:
        n_jobs: at once.
        arguments: of every job, beside its overrides: flags, and what Hydra itself is told.
    """

    def __init__(self, n_jobs: int = 1, arguments: Sequence[str] = ()) -> None:
        self.n_jobs = n_jobs
        self._arguments = tuple(arguments)

    def run(self, sweep: Sweep, jobs: Iterator[SweepJob], ended: Ended) -> None:
        """Run jobs to their end; see :class:`lightning_dqn.study.launcher.Launcher`."""
        running: Running = {}
        try:
            while True:
                is_new = self._fill(running, sweep, jobs)
                if not running:
                    return
                if is_new:
                    print(f"running: {_named(running)}", flush=True)
                time.sleep(POLL_SECONDS)
                for job, process in list(running.items()):
                    if (code := process.poll()) is not None:
                        del running[job]
                        ended(job, _reason(sweep, job, code))
        finally:
            _stop(running)

    def _fill(self, running: Running, sweep: Sweep, jobs: Iterator[SweepJob]) -> bool:
        """Start jobs up to the number that runs at once; return whether there were any."""
        is_new = False
        while len(running) < self.n_jobs and (job := next(jobs, None)) is not None:
            running[job] = self._start(sweep, job)
            is_new = True
        return is_new

    def _start(self, sweep: Sweep, job: SweepJob) -> subprocess.Popen[bytes]:
        sweep.clear(job)
        sweep.log(job).parent.mkdir(parents=True, exist_ok=True)  # of a name with folders in it
        with sweep.log(job).open("ab") as log:
            return subprocess.Popen(
                self._command(sweep, job),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # A terminal's Ctrl-C reaches a whole group; from here it comes to a job once more,
                # and a second signal ends a run before it has saved.
                process_group=0,
                env={**os.environ, "PYTHONUNBUFFERED": "1", PARENT: str(os.getpid())},
            )

    def _command(self, sweep: Sweep, job: SweepJob) -> list[str]:
        run_dir = sweep.run_dir(job).absolute()
        own = [f"hydra.run.dir={quoted(run_dir)}", ALONE]
        if sweep.goes_on(job):
            # Its configuration may name what the overrides, none of them new to it, don't.
            own = [f"resume={run_dir}", *trusted(sweep.trust)]
        return [sys.executable, "-m", "lightning_dqn", *self._arguments, *job.overrides, *own]


def _reason(sweep: Sweep, job: SweepJob, code: int) -> str | None:
    """Return why a job failed whose process ended, if it did."""
    if code == 0 and sweep.is_over(job):
        return None
    (sweep.run_dir(job) / SUMMARY).unlink(missing_ok=True)  # finished or failed, not both
    if code < 0:
        return f"signal {-code}"
    return sweep.failure(job) or _last_line(sweep, job) or f"exit code {code}"


def _last_line(sweep: Sweep, job: SweepJob) -> str:
    text = sweep.log(job).read_text(errors="replace")
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def _named(jobs: Iterable[SweepJob]) -> str:
    names = [job.name for job in jobs]
    return ", ".join(names) if len(names) <= _MOST_NAMED else f"{len(names)} jobs"


def _stop(running: Running) -> None:
    """Let jobs save and end; a further signal, or one that never ends, kills them."""
    if not running:
        return
    deadline = time.monotonic() + STOP_SECONDS
    try:
        for process in running.values():
            process.terminate()
        print(f"stopping: {_named(running)}; Ctrl-C once more ends them unsaved", flush=True)
        for process in running.values():
            process.wait(timeout=max(0.0, deadline - time.monotonic()))
    except (subprocess.TimeoutExpired, KeyboardInterrupt, Stopped):
        for process in running.values():
            process.kill()
        for process in running.values():
            process.wait()
