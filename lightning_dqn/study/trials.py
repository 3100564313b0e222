"""The trials of a search: proposed, told of, and found again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning_dqn.reporting.optuna_study import (
    JOURNAL,
    METRIC,
    PRUNER,
    STUDY,
    load_optuna,
    make_pruner,
    make_sampler,
    open_storage,
    quiet,
)
from lightning_dqn.runs.jobs import SweepJob, trial_name
from lightning_dqn.study.search import Search


class Trials:
    """The Optuna study of a search, in the folder of its sweep.

    Args:
        folder: of the sweep.
        search: what is asked for.
        at_once: trials that run beside each other.
        pruner: see :meth:`Search.pruner_asked`.
    """

    def __init__(
        self, folder: Path, search: Search, *, at_once: int, pruner: Mapping[str, Any]
    ) -> None:
        self._search = search
        self._space = search.space
        self._states = load_optuna().trial.TrialState
        self._study = load_optuna().create_study(
            storage=open_storage(folder / JOURNAL),
            study_name=STUDY,
            direction=search.direction,
            pruner=make_pruner(pruner),
            load_if_exists=True,
        )
        before = len(self._trials())
        asked = search.sampler_asked(at_once, before)
        self._study.sampler = make_sampler(asked, search.seed + before)
        self._study.set_user_attr(METRIC, search.evaluated)
        self._study.set_user_attr(PRUNER, dict(pruner))
        self._jobs: dict[str, int] = {}
        for trial in self._trials():
            if set(trial.params) == set(self._space.dimensions):
                self._add(trial)
            elif not trial.state.is_finished():  # its process was killed before all was chosen
                self._study.tell(trial.number, state=self._states.FAIL)

    @property
    def jobs(self) -> tuple[SweepJob, ...]:
        """Those of all trials, in their order."""
        trials = self._trials()
        return tuple(self._job(trials[number]) for number in self._jobs.values())

    def running(self) -> list[SweepJob]:
        """Return the jobs of trials that haven't ended, as those of a search that was killed."""
        return [job for job in self.jobs if not self._trial(job).state.is_finished()]

    def ask(self) -> SweepJob | None:
        """Propose another trial; None: there are as many as were asked for."""
        if len(self._jobs) >= self._search.n_trials:
            return None
        with quiet():
            trial = self._study.ask(self._space.distributions())
        return self._add(trial)

    def finished(self, job: SweepJob, value: float) -> None:
        """Take the value of a trial that ended."""
        self._tell(job, value, self._states.COMPLETE)

    def pruned(self, job: SweepJob) -> None:
        """Take that a trial was pruned; its last evaluation is what it is judged by."""
        self._tell(job, None, self._states.PRUNED)

    def failed(self, job: SweepJob) -> None:
        """Take that a trial failed."""
        self._tell(job, None, self._states.FAIL)

    def has_failed(self, job: SweepJob) -> bool:
        """Return whether a trial failed."""
        return bool(self._trial(job).state == self._states.FAIL)

    def value(self, job: SweepJob) -> float | None:
        """Return the value of a trial that finished."""
        trial = self._trial(job)
        return trial.value if trial.state == self._states.COMPLETE else None

    def launched(self, job: SweepJob) -> SweepJob:
        """Return a job as it is run: where it may be pruned, with what tells its trial."""
        return launched(job, self._jobs[job.name]) if self._search.prunes else job

    def _tell(self, job: SweepJob, value: float | None, state: Any) -> None:
        if not self._trial(job).state.is_finished():
            with quiet():
                self._study.tell(self._jobs[job.name], value, state=state)

    def _trials(self) -> list[Any]:
        found: list[Any] = self._study.get_trials(deepcopy=False)
        return found

    def _trial(self, job: SweepJob) -> Any:
        return self._trials()[self._jobs[job.name]]

    def _add(self, trial: Any) -> SweepJob:
        job = self._job(trial)
        self._jobs[job.name] = trial.number
        return job

    def _job(self, trial: Any) -> SweepJob:
        overrides = (*self._search.fixed, *self._space.overrides(trial.params))
        return SweepJob(trial_name(trial.number, self._space.short(trial.params)), overrides)


def launched(job: SweepJob, trial: int) -> SweepJob:
    """Return a job with what tells its trial of evaluations, and prunes it."""
    pruning = ("+callbacks/prune_trial=default", f"callbacks.prune_trial.trial={trial}")
    return SweepJob(job.name, (*job.overrides, *pruning))
