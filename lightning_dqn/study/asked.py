"""What a study or a suite is asked for, checked before anything is written or run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from hydra.core.override_parser.overrides_parser import OverridesParser

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.compose import Composer
from lightning_dqn.runs.jobs import SEED, SweepJob, names_of
from lightning_dqn.runs.jobs_check import check_jobs
from lightning_dqn.runs.mistakes import MISTAKES
from lightning_dqn.runs.resume import quoted
from lightning_dqn.runs.trust import Trust
from lightning_dqn.study.planning import begun, check_pending, gone_on_with, in_processes
from lightning_dqn.study.results import read_run
from lightning_dqn.study.sweep import Sweep


class Study(NamedTuple):
    """What is asked for, checked, and what composes it."""

    composer: Composer
    sweep: Sweep


def checked(
    arguments: Sequence[str],
    grid: Sequence[str],
    *,
    command: Sequence[str],
    jobs: int,
    folder: str | Path | None,
    reserved: Mapping[str, str],
) -> Study:
    """Return what is begun, after a look at all of its jobs.

    Args:
        arguments: of the user's.
        grid: further overrides, as those by which the jobs are told apart.
        command: of the command line.
        jobs: at once, each in a process.
        folder: of all; None: a new one below ``runs/<name>``.
        reserved: keys that the user can't set -> what to do instead.

    Raises:
        ConfigError: an argument is wrong.
    """
    placed = [] if folder is None else [f"hydra.sweep.dir={quoted(Path(folder))}"]
    composer = Composer([*arguments, "-m", *in_processes(jobs), *placed, *grid])
    with composer:
        try:
            _check_overrides(_own(arguments), reserved)
            plan = check_jobs(composer)
        except MISTAKES as error:
            raise ConfigError(composer.explain(error)) from error
    return Study(composer, begun(plan, command, jobs))


def going_on(sweep: Sweep, flags: Sequence[str], trust: Trust | None) -> Study:
    """Return what isn't finished of a sweep, after a look at all of it.

    Args:
        sweep: of a folder.
        flags: of Hydra's.
        trust: see :func:`lightning_dqn.study.planning.check_pending`.

    Raises:
        ConfigError: a job can't run, or isn't trusted; a finished run can't be read.
    """
    for job in sweep.jobs:
        if sweep.is_finished(job):
            read_run(sweep.folder, sweep.run_dir(job))
    composer = gone_on_with(sweep, flags)
    with composer:
        try:
            sweep = check_pending(composer, sweep, trust)
        except MISTAKES as error:
            raise ConfigError(composer.explain(error)) from error
    return Study(composer, sweep)


def with_jobs(sweep: Sweep, added: Iterable[tuple[tuple[str, ...], int]]) -> Sweep:
    """Return a sweep with those jobs that it doesn't have yet.

    Args:
        sweep: of a folder.
        added: setting and seed of each.
    """
    had = {(job.setting, job.seed) for job in sweep.jobs}
    overrides = [job.overrides for job in sweep.jobs]
    overrides += [
        (*setting, f"{SEED}={seed}") for setting, seed in added if (setting, seed) not in had
    ]
    new = [
        SweepJob(name, of_job) for name, of_job in zip(names_of(overrides), overrides, strict=True)
    ][len(sweep.jobs) :]
    return replace(sweep, jobs=(*sweep.jobs, *new))


def seeds_of(sweep: Sweep) -> tuple[int, ...]:
    """Return the seeds of a sweep's jobs, each once."""
    return tuple(dict.fromkeys(job.seed for job in sweep.jobs if job.seed is not None))


def check_seeds(seeds: tuple[int, ...] | None) -> None:
    """Refuse seeds that aren't different whole numbers."""
    if seeds is not None and (not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0):
        raise ConfigError(
            f"seeds={','.join(map(str, seeds))}: expected different whole numbers from 0"
        )


def check_number_at_once(jobs: int | None) -> None:
    """Refuse to run less than one job at once."""
    if jobs is not None and jobs < 1:
        raise ConfigError(f"jobs={jobs}: expected a whole number from 1")


def parted(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Part flags, each one word, from what else was typed."""
    flags = [one for one in arguments if one.startswith("-")]
    return flags, [one for one in arguments if one not in flags]


def check_flags(arguments: Sequence[str], what: str) -> None:
    """Refuse flags of Hydra's that ``what`` has no use for."""
    for flag in arguments:
        if flag.startswith("-") and not flag.startswith(("--config-dir", "-cd")):
            raise ConfigError(f"{flag}: of the flags {what} takes --config-dir only")


def _own(arguments: Sequence[str]) -> list[str]:
    return [one for one in arguments if "=" in one and not one.startswith("-")]


def _check_overrides(overrides: list[str], reserved: Mapping[str, str]) -> None:
    for override in OverridesParser.create().parse_overrides(overrides):
        if override.key_or_group in reserved:
            raise ConfigError(f"{override.input_line}: {reserved[override.key_or_group]}")
