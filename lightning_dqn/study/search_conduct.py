"""A search from its first trial to its results: each proposed when there is room for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from lightning_dqn.reporting.optuna_study import UNKNOWN_METRIC
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.jobs import SweepJob
from lightning_dqn.runs.pruned import read_pruned
from lightning_dqn.safekeeping.folder_lock import locked
from lightning_dqn.study.conduct import Say, Tally, say_to_terminal, tell_results
from lightning_dqn.study.launcher import Launcher
from lightning_dqn.study.search import Search
from lightning_dqn.study.sweep import Sweep
from lightning_dqn.study.sweep_results import SweepResults, sum_up
from lightning_dqn.study.trial_value import UnknownMetric, trial_value
from lightning_dqn.study.trials import Trials


def conduct_search(
    sweep: Sweep,
    launcher: Launcher,
    *,
    at_once: int,
    pruner: Mapping[str, Any],
    say: Say = say_to_terminal,
) -> SweepResults:
    """Run the trials of a search that there aren't yet, and write what all come to.

    Args:
        sweep: with what is to be searched.
        launcher: runs the jobs.
        at_once: trials that run beside each other.
        pruner: see :meth:`Search.pruner_asked`.
        say: takes lines for the terminal.

    Raises:
        ConfigError: no run logs what is searched by; told as soon as the first has ended.
        FolderInUse: another process works in the folder.
    """
    assert sweep.search is not None, "a search"
    with locked(sweep.folder):
        sweep.write()
        trials = Trials(sweep.folder, sweep.search, at_once=at_once, pruner=pruner)
        conductor = Conductor(replace(sweep, jobs=trials.jobs), sweep.search, trials, say)
        launcher.run(sweep, conductor.jobs(), conductor.ended)
        return conductor.results()


class Conductor:
    """Proposes jobs, and tells their trials what became of them.

    Args:
        sweep: with the jobs of all trials that there are.
        search: what is asked for.
        trials: of it.
        say: takes lines for the terminal.
    """

    def __init__(self, sweep: Sweep, search: Search, trials: Trials, say: Say) -> None:
        self._sweep = sweep
        self._search = search
        self._trials = trials
        self._say = say
        for job in trials.running():
            if sweep.is_over(job):  # it ended, and nobody was there to tell
                self._report_to_trial(job, None)
        self._running = trials.running()
        num_kept = len(sweep.jobs) - len(self._running)
        self._tally = Tally(sweep, max(0, search.n_trials - num_kept), say)
        kept = f", {num_kept} of them ended already" if num_kept else ""
        say(f"{sweep.name}: {search.n_trials} trials{kept}, in {sweep.folder}")

    def jobs(self) -> Iterator[SweepJob]:
        """Yield the jobs of trials that were interrupted, then of new ones, as they are run."""
        for job in self._running:
            yield self._trials.launched(job)
        while (new := self._trials.ask()) is not None:
            self._sweep = replace(self._sweep, jobs=(*self._sweep.jobs, new))
            self._sweep.write()
            yield self._trials.launched(new)

    def ended(self, launched: SweepJob, reason: str | None) -> None:
        """Take a job that ended; see :data:`lightning_dqn.study.launcher.Ended`."""
        job = next(one for one in self._sweep.jobs if one.name == launched.name)
        self._tally.count(job, self._report_to_trial(job, reason))

    def results(self) -> SweepResults:
        """Write what all trials came to, and say it."""
        jobs = self._sweep.jobs
        for job in jobs:
            if self._trials.has_failed(job) and job.name not in self._tally.reasons:
                reason = self._sweep.failure(job) or "it failed before the search went on"
                self._tally.note(job, reason)
        values = {job.name: value for job in jobs if (value := self._trials.value(job)) is not None}
        results = sum_up(self._sweep, self._tally.reasons, values)
        tell_results(results, self._tally, self._say)
        return results

    def _report_to_trial(self, job: SweepJob, reason: str | None) -> str | None:
        """Tell a trial what became of its job; return why it failed."""
        run_dir = self._sweep.run_dir(job)
        try:
            if reason is not None:
                self._refuse_unknown_metric(reason)
                raise ConfigError(reason)
            if read_pruned(run_dir) is not None:
                self._trials.pruned(job)
            else:
                self._trials.finished(job, trial_value(self._search, self._sweep.folder, run_dir))
            return None
        except UnknownMetric:
            self._trials.failed(job)
            raise
        except ConfigError as error:
            self._trials.failed(job)
            return str(error)

    def _refuse_unknown_metric(self, reason: str) -> None:
        begins = UNKNOWN_METRIC.partition(";")[0].format(self._search.evaluated)
        if begins in reason:
            raise UnknownMetric(reason[reason.index(begins) :])
