"""What a sweep came to: each setting's results beside the others', and the best of them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lightning_dqn.runs.hydra_files import searched
from lightning_dqn.runs.jobs import SweepJob, label_of
from lightning_dqn.runs.pruned import read_pruned
from lightning_dqn.study.results import Failure, PrunedRun, Results, read_run
from lightning_dqn.study.search_tables import trials_line, trials_table
from lightning_dqn.study.suite import Suite
from lightning_dqn.study.suite_results import SuiteResults
from lightning_dqn.study.suite_tables import suite_text
from lightning_dqn.study.sweep import Sweep, seeds_text
from lightning_dqn.study.tables import comparison, lines_of_changes, lines_of_untested, runs_table
from lightning_dqn.system.overrides import is_of, key_of


@dataclass(frozen=True)
class SweepResults:
    """What a sweep came to; ``str`` of it is its tables.

    Attributes:
        name: of the sweep.
        folder: of the sweep.
        command: that runs it again.
        settings: each with what it came to over its seeds, in the order they were asked for.
        ranked_by: what the values of a search's trials are; None: it is no search.
        minimizes: whether a lower value is better.
        suite: that the settings are the games of; None: they aren't.
    """

    name: str
    folder: Path
    command: str
    settings: tuple[Results, ...]
    ranked_by: str | None = None
    minimizes: bool = False
    suite: Suite | None = None

    @property
    def failures(self) -> tuple[Failure, ...]:
        """All runs that didn't finish."""
        return tuple(one for setting in self.settings for one in setting.failures)

    @property
    def best(self) -> Results | None:
        """The setting of the highest interquartile mean, among those with most finished seeds.

        Of a search it is the trial of the best value. None where the settings are of several
        environments, whose returns can't be compared.
        """
        if self.ranked_by is not None:
            sign = -1 if self.minimizes else 1
            valued = [(sign * one.value, one) for one in self.settings if one.value is not None]
            return max(valued, key=lambda pair: pair[0], default=(0.0, None))[1]
        if len({_environment(one.overrides) for one in self.settings}) > 1:
            return None
        found = [one for one in self.settings if one.runs]
        most = max((len(one.runs) for one in found), default=0)
        whole = [one for one in found if len(one.runs) == most]
        return max(whole, key=lambda one: one.iqm, default=None)

    def __str__(self) -> str:
        runs = [run for setting in self.settings for run in setting.runs]
        if self.suite is not None:
            parts = [suite_text(SuiteResults.of(self.suite, self.settings))]
        else:
            parts = [self._tables(), *lines_of_changes(runs)]
        return "\n\n".join([*parts, *lines_of_untested(runs)])

    def _tables(self) -> str:
        labelled = {one.name: one for one in self.settings}
        if self.ranked_by is not None:
            text = trials_table(self.settings, self.ranked_by)
            return f"{text}\n\n{trials_line(self.settings)}{self._best_line()}"
        if len(self.settings) == 1:
            [only] = self.settings
            return f"{runs_table(only)}\n\n{comparison(labelled)}"
        return comparison(labelled, "setting") + self._best_line()

    def _best_line(self) -> str:
        best = self.best
        return "" if best is None else f"\n\nbest  {best.name}\n  {best.command}"


def _environment(overrides: tuple[str, ...]) -> tuple[str, ...]:
    """Return what of the overrides says which environment it is."""
    chosen = ("experiment", "environment")
    below = ("environment.id", "environment.game", "environment.kwargs")
    return tuple(one for one in overrides if key_of(one) in chosen or is_of(key_of(one), below))


def sum_up(
    sweep: Sweep, reasons: Mapping[str, str], values: Mapping[str, float] | None = None
) -> SweepResults:
    """Return what the jobs of a sweep came to.

    Args:
        sweep: all its jobs have ended.
        reasons: why those failed that did, by their names.
        values: of the trials of a search that finished, by their names; each is a setting.

    Raises:
        ConfigError: the summary of a finished run can't be read.
    """
    if values is not None and (search := sweep.search) is not None:
        trials = [
            _setting(sweep, job.name, [job], reasons, values.get(job.name)) for job in sweep.jobs
        ]
        ranked_by = search.metric or "return"
        return SweepResults(
            sweep.name,
            sweep.folder,
            sweep.command_line,
            tuple(trials),
            ranked_by,
            search.minimizes,
        )
    settings: dict[tuple[str, ...], list[SweepJob]] = {}
    for job in sweep.jobs:
        settings.setdefault(job.setting, []).append(job)
    found = [
        _setting(sweep, label_of(setting, list(settings)) or sweep.name, jobs, reasons)
        for setting, jobs in settings.items()
    ]
    return SweepResults(
        sweep.name, sweep.folder, sweep.command_line, tuple(found), suite=sweep.suite
    )


def _setting(
    sweep: Sweep,
    name: str,
    jobs: Sequence[SweepJob],
    reasons: Mapping[str, str],
    value: float | None = None,
) -> Results:
    """Return what jobs came to that differ by their seed alone."""
    setting = jobs[0].setting
    pruned = {job: found for job in jobs if (found := read_pruned(sweep.run_dir(job)))}
    others = [job for job in jobs if job.name not in reasons and job not in pruned]
    finished = sorted(others, key=lambda job: job.seed or 0)
    return Results(
        name=name,
        folder=sweep.folder,
        command=setting_command(sweep, setting, jobs),
        overrides=setting,
        runs=tuple(read_run(sweep.folder, sweep.run_dir(job)) for job in finished),
        failures=tuple(
            Failure(job.seed, reasons[job.name], job.name) for job in jobs if job.name in reasons
        ),
        pruned=tuple(
            PrunedRun(job.seed, one.env_steps, one.metric, one.value, job.name)
            for job, one in pruned.items()
            if job.name not in reasons
        ),
        value=value,
    )


def setting_command(sweep: Sweep, setting: tuple[str, ...], jobs: Sequence[SweepJob]) -> str:
    """Return the command that runs a setting again, with all its seeds that are known."""
    flags = [one for one in sweep.command if one.startswith("--config")]
    flags += searched(sweep.command)
    seeds = [job.seed for job in jobs if job.seed is not None]
    several = len(seeds) > 1 or sweep.num_at_once is not None
    verb, own = (["study"], [seeds_text(seeds)]) if several else ([], [f"seed={s}" for s in seeds])
    return shlex.join(["python", "-m", "lightning_dqn", *verb, *flags, *setting, *own])
