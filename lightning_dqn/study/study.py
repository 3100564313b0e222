"""Several seeds of one or more settings, each run in a process of its own."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.override_parser.overrides_parser import OverridesParser

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.compose import Composer
from lightning_dqn.runs.jobs import SEED, SweepJob, names_of
from lightning_dqn.runs.jobs_check import check_jobs
from lightning_dqn.runs.mistakes import MISTAKES
from lightning_dqn.runs.resume import quoted
from lightning_dqn.runs.trust import NOTHING, Trust
from lightning_dqn.study.conduct import Say, say_to_terminal
from lightning_dqn.study.launching import launch
from lightning_dqn.study.planning import begun, check_pending, gone_on_with, in_processes
from lightning_dqn.study.results import read_run
from lightning_dqn.study.sweep import Sweep, is_unused, read_sweep, seeds_text
from lightning_dqn.study.sweep_results import SweepResults

RESERVED = {
    SEED: "a study takes its seeds as seeds=5 or seeds=3,4,7",
    "hydra.run.dir": "a study's folder is folder=<folder>, each run's lies in it",
    "hydra.sweep.dir": "a study's folder is folder=<folder>, each run's lies in it",
    "hydra/launcher": "a study runs jobs=<number> at once, each in a process; others go with -m",
    "run_dir": "a study's folder is folder=<folder>, each run's lies in it",
    "sweep": "a study runs all settings that it is given; a search goes without the word study",
    "resume": "a study is continued with folder=<study folder>",
}


class Study(NamedTuple):
    """What is asked for, checked, and what composes it."""

    composer: Composer
    sweep: Sweep


def run_study(
    arguments: Sequence[str],
    *,
    seeds: Iterable[int] | None = None,
    jobs: int | None = None,
    folder: str | Path | None = None,
    trust: Trust = NOTHING,
    say: Say = say_to_terminal,
) -> SweepResults:
    """Run one or more settings with several seeds and write what they come to.

    Args:
        arguments: of ``python -m lightning_dqn``, as ``["+experiment=cartpole"]``; several values,
            as ``data.batch_size=32,64``, are settings.
        seeds: of the runs; None: 0 to 4. A study that is continued keeps those it had, too.
        jobs: runs at once; None: 1, or as many as before.
        folder: the study's; None: a new one below ``runs/<name>``. Its finished runs are kept.
        trust: what a study that is continued may name beside what every run needs.
        say: takes lines for the terminal.

    Raises:
        ConfigError: an argument is wrong; nothing was written or run.
    """
    study = plan(arguments, seeds=seeds, jobs=jobs, folder=folder, trust=trust)
    with study.composer:
        return launch(study.composer, study.sweep, _in_processes, say=say)


def _in_processes(config: object) -> Any:
    raise AssertionError("a study's jobs run in processes of their own")


def plan(
    arguments: Sequence[str],
    *,
    seeds: Iterable[int] | None = None,
    jobs: int | None = None,
    folder: str | Path | None = None,
    trust: Trust = NOTHING,
) -> Study:
    """Return the study that is asked for, after all checks; see :func:`run_study`.

    Raises:
        ConfigError: an argument is wrong.
    """
    chosen = None if seeds is None else tuple(seeds)
    _check_seeds(chosen)
    if jobs is not None and jobs < 1:
        raise ConfigError(f"jobs={jobs}: expected a whole number from 1")
    if folder is None or is_unused(Path(folder)):
        return _new(arguments, chosen or tuple(range(5)), jobs or 1, folder)
    return _continued(read_sweep(Path(folder)), arguments, chosen or (), jobs, trust)


def _new(
    arguments: Sequence[str], seeds: tuple[int, ...], jobs: int, folder: str | Path | None
) -> Study:
    _check_flags(arguments)
    placed = [] if folder is None else [f"hydra.sweep.dir={quoted(Path(folder))}"]
    seed = f"{SEED}={','.join(map(str, seeds))}"
    composer = Composer([*arguments, "-m", *in_processes(jobs), *placed, seed])
    with composer:
        try:
            _check_overrides(_own(arguments))
            plan = check_jobs(composer)
        except MISTAKES as error:
            raise ConfigError(composer.explain(error)) from error
    return Study(composer, begun(plan, ("study", *arguments, seeds_text(seeds)), jobs))


def _continued(
    sweep: Sweep,
    arguments: Sequence[str],
    seeds: tuple[int, ...],
    jobs: int | None,
    trust: Trust,
) -> Study:
    if sweep.search is not None:
        raise ConfigError(f"folder={sweep.folder}: holds a search; resume {sweep.folder} goes on")
    asked = sweep.command[1:-1] if sweep.command[0] == "study" else sweep.command
    if arguments and tuple(arguments) != asked:
        raise ConfigError(
            f"folder={sweep.folder}: holds a study of {shlex.join(asked)}; leave the keys away to "
            "continue it, or choose another folder"
        )
    sweep = replace(with_seeds(sweep, seeds), num_at_once=jobs or sweep.num_at_once)
    for job in sweep.jobs:
        if sweep.is_finished(job):
            read_run(sweep.folder, sweep.run_dir(job))
    flags = [one for one in arguments if one.startswith("-")]
    composer = gone_on_with(sweep, flags)
    with composer:
        try:
            check_pending(composer, sweep, None if arguments else trust)
        except MISTAKES as error:
            raise ConfigError(composer.explain(error)) from error
    return Study(composer, sweep)


def with_seeds(sweep: Sweep, seeds: Sequence[int]) -> Sweep:
    """Return a sweep with jobs of further seeds for each of its settings."""
    settings = dict.fromkeys(job.setting for job in sweep.jobs)
    had = {(job.setting, job.seed) for job in sweep.jobs}
    added = [(s, seed) for s in settings for seed in seeds if (s, seed) not in had]
    overrides = [job.overrides for job in sweep.jobs]
    overrides += [(*setting, f"{SEED}={seed}") for setting, seed in added]
    new = [
        SweepJob(name, of_job) for name, of_job in zip(names_of(overrides), overrides, strict=True)
    ][len(sweep.jobs) :]
    command = sweep.command
    if new and command[0] == "study":
        all_seeds = dict.fromkeys(job.seed for job in (*sweep.jobs, *new))
        command = (*command[:-1], seeds_text([s for s in all_seeds if s is not None]))
    return replace(sweep, jobs=(*sweep.jobs, *new), command=command)


def _check_seeds(seeds: tuple[int, ...] | None) -> None:
    if seeds is not None and (not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0):
        raise ConfigError(
            f"seeds={','.join(map(str, seeds))}: expected different whole numbers from 0"
        )


def _check_flags(arguments: Sequence[str]) -> None:
    for flag in arguments:
        if flag.startswith("-") and not flag.startswith(("--config-dir", "-cd")):
            raise ConfigError(f"{flag}: of the flags a study takes --config-dir only")


def _own(arguments: Sequence[str]) -> list[str]:
    return [one for one in arguments if "=" in one and not one.startswith("-")]


def _check_overrides(overrides: list[str]) -> None:
    for override in OverridesParser.create().parse_overrides(overrides):
        if override.key_or_group in RESERVED:
            raise ConfigError(f"{override.input_line}: {RESERVED[override.key_or_group]}")
