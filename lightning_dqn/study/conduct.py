"""A sweep from its first job to its results, whoever runs the jobs and whatever becomes of them."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from lightning_dqn.reporting.tables import duration
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.jobs import SweepJob
from lightning_dqn.runs.pruned import read_pruned
from lightning_dqn.safekeeping.folder_lock import locked
from lightning_dqn.safekeeping.signals import HEARD, AtOnce
from lightning_dqn.study.launcher import Launcher
from lightning_dqn.study.results import read_run
from lightning_dqn.study.results_files import write_results
from lightning_dqn.study.sweep import Sweep
from lightning_dqn.study.sweep_results import SweepResults, sum_up

Say = Callable[[str], None]

say_to_terminal = partial(print, flush=True)
_MOST_NAMED = 8


def conduct(sweep: Sweep, launcher: Launcher, *, say: Say = say_to_terminal) -> SweepResults:
    """Run the jobs of a sweep that aren't finished, and write what all come to.

    A job that fails doesn't keep the others from running, and is named at the end.

    Args:
        sweep: whose folder is made if need be, and held while it is worked in.
        launcher: runs the jobs.
        say: takes lines for the terminal.

    Raises:
        FolderInUse: another process works in the folder.
    """
    with locked(sweep.folder):
        sweep.write()
        pending = sweep.pending
        say(_opening(sweep, len(pending)))
        tally = Tally(sweep, len(pending), say)
        launcher.run(sweep, iter(pending), tally.count)
        results = sum_up(sweep, tally.reasons)
        tell_results(results, tally, say)
    return results


def tell_results(results: SweepResults, tally: Tally, say: Say) -> None:
    """Write what all jobs came to into the sweep's folder, and say it."""
    notes = write_results(results)
    say("\n".join(["", str(results), *(["", *notes] if notes else [])]))
    for name, reason in tally.reasons.items():
        say(f"{name} failed: {reason}\n  see {tally.seen_at[name]}")
    say(f"files  {results.folder}")


class Tally:
    """Tells of each job what it came to, and remembers those that failed.

    Attributes:
        reasons: why those failed that did, by their names.
        seen_at: where to read of it.
    """

    def __init__(self, sweep: Sweep, num_pending: int, say: Say) -> None:
        self._sweep = sweep
        self._num_pending = num_pending
        self._num_ended = 0
        self._say = say
        self.reasons: dict[str, str] = {}
        self.seen_at: dict[str, str] = {}

    def count(self, job: SweepJob, reason: str | None) -> None:
        """Take a job that ended; see :data:`lightning_dqn.study.launcher.Ended`."""
        self._num_ended += 1
        if reason is None:
            text, reason = self._outcome(job)
        if reason is not None:
            self.note(job, reason)
            text = f"failed, see {self.seen_at[job.name]}"
        self._say(f"[{self._num_ended}/{self._num_pending}] {job.name}: {text}")

    def note(self, job: SweepJob, reason: str) -> None:
        """Remember why a job failed."""
        log, own = self._sweep.log(job), self._sweep.run_dir(job) / "train.log"
        self.reasons[job.name] = reason
        self.seen_at[job.name] = str(log if log.is_file() else own)

    def _outcome(self, job: SweepJob) -> tuple[str, str | None]:
        try:
            if (pruned := read_pruned(self._sweep.run_dir(job))) is not None:
                return str(pruned), None
            run = read_run(self._sweep.folder, self._sweep.run_dir(job))
        except ConfigError as error:
            return "", str(error)
        spread = "" if run.episode_return_std is None else f" ± {run.episode_return_std:.1f}"
        return f"return {run.episode_return:.1f}{spread} in {duration(run.wall_seconds)}", None


def _opening(sweep: Sweep, num_pending: int) -> str:
    num_finished = len(sweep.jobs) - num_pending
    kept = f", {num_finished} of them finished already" if num_finished else ""
    names = [job.name for job in sweep.jobs]
    named = f"{len(names)} jobs"
    if len(names) <= _MOST_NAMED:
        named += f" ({', '.join(names)})"
    return f"{sweep.name}: {named}{kept}, in {sweep.folder}"


@contextmanager
def interrupted_when_terminated() -> Iterator[None]:
    """Let what schedulers and ``kill`` send end what is done here as Ctrl-C does, with its jobs.

    It is :class:`lightning_dqn.safekeeping.signals.Stopped`.
    """
    at_once = AtOnce()
    others = [number for number in HEARD if number != signal.SIGINT]
    heard = [one for one in others if signal.getsignal(one) != signal.SIG_IGN]  # not under nohup
    before = {number: signal.signal(number, at_once) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
