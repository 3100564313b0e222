"""What a sweep came to: each setting's results beside the others', and the best of them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lightning_dqn.runs.jobs import SweepJob, label_of
from lightning_dqn.study.results import Failure, Results, read_run
from lightning_dqn.study.sweep import Sweep, seeds_text
from lightning_dqn.study.tables import comparison, runs_table


@dataclass(frozen=True)
class SweepResults:
    """What a sweep came to; ``str`` of it is its tables.

    Attributes:
        name: of the sweep.
        folder: of the sweep.
        command: that runs it again.
        settings: each with what it came to over its seeds, in the order they were asked for.
    """

    name: str
    folder: Path
    command: str
    settings: tuple[Results, ...]

    @property
    def failures(self) -> tuple[Failure, ...]:
        """All runs that didn't finish."""
        return tuple(one for setting in self.settings for one in setting.failures)

    @property
    def best(self) -> Results | None:
        """The setting of the highest interquartile mean, among those with most finished seeds.

        None where the settings are of several environments, whose returns can't be compared.
        """
        if len({_environment(one.overrides) for one in self.settings}) > 1:
            return None
        found = [one for one in self.settings if one.runs]
        most = max((len(one.runs) for one in found), default=0)
        whole = [one for one in found if len(one.runs) == most]
        return max(whole, key=lambda one: one.iqm, default=None)

    def __str__(self) -> str:
        labelled = {one.name: one for one in self.settings}
        if len(self.settings) == 1:
            [only] = self.settings
            return f"{runs_table(only)}\n\n{comparison(labelled)}"
        text = comparison(labelled, "setting")
        if self.best is not None:
            text += f"\n\nbest  {self.best.name}\n  {self.best.command}"
        return text


def _environment(overrides: tuple[str, ...]) -> tuple[str, ...]:
    """Return what of the overrides says which environment it is."""
    keys = ("experiment=", "environment=", "environment.id=", "environment.kwargs.")
    return tuple(one for one in overrides if one.lstrip("+").startswith(keys))


def sum_up(sweep: Sweep, reasons: Mapping[str, str]) -> SweepResults:
    """Return what the jobs of a sweep came to.

    Args:
        sweep: all its jobs have ended.
        reasons: why those failed that did, by their names.

    Raises:
        ConfigError: the summary of a finished run can't be read.
    """
    settings: dict[tuple[str, ...], list[SweepJob]] = {}
    for job in sweep.jobs:
        settings.setdefault(job.setting, []).append(job)
    all_of_them = list(settings)
    found = []
    for setting, jobs in settings.items():
        finished = sorted((j for j in jobs if j.name not in reasons), key=lambda j: j.seed or 0)
        found.append(
            Results(
                name=label_of(setting, all_of_them) or sweep.name,
                folder=sweep.folder,
                command=_command(sweep, setting, jobs),
                overrides=setting,
                runs=tuple(read_run(sweep.folder, sweep.run_dir(job)) for job in finished),
                failures=tuple(
                    Failure(job.seed, reasons[job.name], job.name)
                    for job in jobs
                    if job.name in reasons
                ),
            )
        )
    return SweepResults(sweep.name, sweep.folder, sweep.command_line, tuple(found))


def _command(sweep: Sweep, setting: tuple[str, ...], jobs: list[SweepJob]) -> str:
    """Return the command that runs a setting again, with all its seeds if they were named."""
    flags = [one for one in sweep.command if one.startswith("--config")]
    seeds = [job.seed for job in jobs if job.seed is not None]
    several = len(seeds) > 1 or sweep.num_at_once is not None
    verb, own = (["study"], [seeds_text(seeds)]) if several else ([], [f"seed={s}" for s in seeds])
    return shlex.join(["python", "-m", "lightning_dqn", *verb, *flags, *setting, *own])
