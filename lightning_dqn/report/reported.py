"""What a report is of: runs, the settings that they share, and the folders they were named by."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lightning_dqn.report.configuration import environment_of, read_configuration, settings_of
from lightning_dqn.report.logged import read_logged
from lightning_dqn.reporting.metrics_file import Series
from lightning_dqn.runs.by_hand import changed_by_hand
from lightning_dqn.study.results import Failure, PrunedRun, Results, Run
from lightning_dqn.study.suite import Suite

State = Literal["finished", "pruned", "failed", "unfinished", "not begun"]


@dataclass(frozen=True)
class ReportedRun:
    """A run, whatever became of it.

    Attributes:
        folder: of the run.
        seed: None where it isn't known.
        state: what became of it.
        reason: why it isn't finished, or has no result; empty where there is nothing to say.
        result: of a finished run that was tested or evaluated.
    """

    folder: Path
    seed: int | None
    state: State
    reason: str = ""
    result: Run | None = None

    @functools.cached_property
    def logged(self) -> dict[str, Series]:
        """Its metrics over the env steps."""
        return read_logged(self.folder)

    @functools.cached_property
    def configuration(self) -> dict[str, Any]:
        """As its folder has it, empty where it has none."""
        return read_configuration(self.folder)

    @functools.cached_property
    def changed_by_hand(self) -> tuple[str, ...]:
        """A line for each hyper-parameter that was changed while it learned."""
        return changed_by_hand(self.folder)

    @property
    def env_steps(self) -> int | None:
        """As far as is known."""
        if self.result is not None:
            return self.result.env_steps
        ends = [series.env_steps[-1] for series in self.logged.values()]
        return int(max(ends)) if ends else None


@dataclass(frozen=True)
class Setting:
    """Runs that differ by their seed alone.

    Attributes:
        label: no other setting of the report has it.
        name: of the runs.
        command: that runs them again; None: it isn't known.
        overrides: that the runs were composed from.
        runs: in the order of their seeds.
    """

    label: str
    name: str
    command: str | None
    overrides: tuple[str, ...]
    runs: tuple[ReportedRun, ...]

    @functools.cached_property
    def configuration(self) -> dict[str, str]:
        """Its keys with their values, empty where no run has any."""
        return next((settings_of(run.configuration) for run in self.runs if run.configuration), {})

    @functools.cached_property
    def environment(self) -> str:
        """What its runs were evaluated in, else its name; returns of another can't be compared."""
        known = (environment_of(run.configuration) for run in self.runs)
        return next((one for one in known if one), self.name)

    @property
    def results(self) -> Results:
        """What it came to over the runs that have a result."""
        return Results(
            name=self.label,
            folder=self.runs[0].folder.parent,
            command=self.command or "",
            overrides=self.overrides,
            runs=tuple(run.result for run in self.runs if run.result is not None),
            failures=tuple(
                Failure(run.seed, run.reason, run.folder.name)
                for run in self.runs
                if run.state in ("failed", "unfinished", "not begun")
            ),
            pruned=tuple(
                PrunedRun(run.seed, run.env_steps or 0, "", float("nan"), run.folder.name)
                for run in self.runs
                if run.state == "pruned"
            ),
        )

    @property
    def middle_run(self) -> ReportedRun | None:
        """The finished run of the median return, which stands for the setting; None: none is."""
        found = [run for run in self.runs if run.result is not None]
        ranked = sorted(found, key=lambda run: run.result.episode_return if run.result else 0.0)
        return ranked[(len(ranked) - 1) // 2] if ranked else None


@dataclass(frozen=True)
class RunSource:
    """A sweep's or a study's folder, or the runs that were named by themselves.

    Attributes:
        name: of it.
        folder: of a sweep; None: runs by themselves.
        command: that runs all of a sweep again.
        settings: of its runs.
        suite: that the settings are the games of; None: they aren't.
    """

    name: str
    folder: Path | None
    command: str | None
    settings: tuple[Setting, ...]
    suite: Suite | None = None


@dataclass(frozen=True)
class Reported:
    """All that a report is of, and what is to be said of how it was read, in a line each."""

    sources: tuple[RunSource, ...]
    notes: tuple[str, ...] = ()

    @property
    def settings(self) -> tuple[Setting, ...]:
        """Of all sources."""
        return tuple(setting for source in self.sources for setting in source.settings)

    @property
    def environments(self) -> dict[str, list[Setting]]:
        """The settings by what they were evaluated in."""
        found: dict[str, list[Setting]] = {}
        for setting in self.settings:
            found.setdefault(setting.environment, []).append(setting)
        return found
