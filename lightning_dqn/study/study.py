"""Several seeds of one or more settings, each run in a process of its own."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.hydra_flags import in_one_word
from lightning_dqn.runs.jobs import SEED
from lightning_dqn.runs.trust import NOTHING, Trust
from lightning_dqn.study.asked import (
    Study,
    check_flags,
    check_number_at_once,
    check_seeds,
    checked,
    going_on,
    parted,
    seeds_of,
    with_jobs,
)
from lightning_dqn.study.conduct import Say, say_to_terminal
from lightning_dqn.study.launching import launch
from lightning_dqn.study.sweep import Sweep, read_sweep, seeds_text
from lightning_dqn.study.sweep_results import SweepResults
from lightning_dqn.system.files import is_unused

RESERVED = {
    SEED: "a study takes its seeds as seeds=5 or seeds=3,4,7",
    "hydra.run.dir": "a study's folder is folder=<folder>, each run's lies in it",
    "hydra.sweep.dir": "a study's folder is folder=<folder>, each run's lies in it",
    "hydra/launcher": "a study runs jobs=<number> at once, each in a process; others go with -m",
    "run_dir": "a study's folder is folder=<folder>, each run's lies in it",
    "sweep": "a study runs all settings that it is given; a search goes without the word study",
    "resume": "a study is continued with folder=<study folder>",
}


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
    arguments = in_one_word(arguments)
    chosen = None if seeds is None else tuple(seeds)
    check_seeds(chosen)
    check_number_at_once(jobs)
    if folder is None or is_unused(Path(folder)):
        return _new(arguments, chosen or tuple(range(5)), jobs or 1, folder)
    return _continued(read_sweep(Path(folder)), arguments, chosen or (), jobs, trust)


def _new(
    arguments: Sequence[str], seeds: tuple[int, ...], jobs: int, folder: str | Path | None
) -> Study:
    check_flags(arguments, "a study")
    grid = [f"{SEED}={','.join(map(str, seeds))}"]
    command = ("study", *arguments, seeds_text(seeds))
    return checked(arguments, grid, command=command, jobs=jobs, folder=folder, reserved=RESERVED)


def _continued(
    sweep: Sweep,
    arguments: Sequence[str],
    seeds: tuple[int, ...],
    jobs: int | None,
    trust: Trust,
) -> Study:
    if sweep.search is not None:
        raise ConfigError(
            f"folder={sweep.folder}: holds a search; resume {sweep.folder} continues it"
        )
    asked = sweep.command[1:-1] if sweep.command[0] == "study" else sweep.command
    flags, typed = parted(arguments)
    if typed and typed != parted(asked)[1]:
        raise ConfigError(
            f"folder={sweep.folder}: holds a study of {shlex.join(asked)}; leave the keys out to "
            "continue it, or choose another folder"
        )
    sweep = replace(with_seeds(sweep, seeds), num_at_once=jobs or sweep.num_at_once)
    return going_on(sweep, flags, None if typed else trust)


def with_seeds(sweep: Sweep, seeds: Sequence[int]) -> Sweep:
    """Return a sweep with jobs of further seeds for each of its settings."""
    settings = dict.fromkeys(job.setting for job in sweep.jobs)
    longer = with_jobs(sweep, [(setting, seed) for setting in settings for seed in seeds])
    command = sweep.command
    if len(longer.jobs) > len(sweep.jobs) and command[0] == "study":
        command = (*command[:-1], seeds_text(seeds_of(longer)))
    return replace(longer, command=command)
