"""All jobs of a command line looked at before the first of them begins."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from omegaconf import DictConfig

from lightning_dqn.runs.budget import refuse_epochs, spread_budget
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.check import check_keys, check_parts, check_values
from lightning_dqn.runs.compose import Composer, Job, without_hydra
from lightning_dqn.runs.jobs import SweepJob
from lightning_dqn.runs.ranks import check_common_folder, check_launcher, rank_of
from lightning_dqn.runs.resume import CHECKPOINT, begun_otherwise
from lightning_dqn.runs.training import training_module
from lightning_dqn.runs.trust import needed_trust, trust_of_overrides
from lightning_dqn.runs.unread import set_by_sampler, unread_hints
from lightning_dqn.safekeeping.folder_lock import refuse_used
from lightning_dqn.safekeeping.generations import is_kept
from lightning_dqn.system.overrides import key_of


def _is_new(job: Job) -> bool:
    return False


class Plan(NamedTuple):
    """What a command line will run.

    Attributes:
        name: of the runs; of a sweep over several names how many there are.
        folder: of the sweep; None: it is a single run, or a sweeper makes the jobs up.
        jobs: of the sweep.
        trust: what its jobs name that is to be trusted when they go on.
        notes: what the user should know of them before they begin, a line each.
    """

    name: str
    folder: Path | None
    jobs: tuple[SweepJob, ...]
    trust: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def check_jobs(composer: Composer, goes_on: Callable[[Job], bool] = _is_new) -> Plan:
    """Refuse what can't run, in any job, before a run's folder or logger exists.

    Keys and values of all jobs, and of those that bring in a value that none before had, the first
    among them, all that can be known by building it.

    Args:
        composer: of the command line.
        goes_on: tells of a job whether it goes on with a run that there is, and refuses one that
            can't.

    Raises:
        HydraException: a job can't be composed.
        ConfigError: it can, but not run.
    """
    seen: set[str] = set()
    rehearsed = _Rehearsed()
    jobs: list[SweepJob] = []
    names: list[str] = []
    trust: list[str] = []
    notes: list[str] = []
    in_vain: list[list[str]] = []
    folder = None
    for job in composer.jobs():
        try:
            check_parts(job.config)
            check_common_folder(job.config, os.environ)
            if job.name:
                check_launcher(job.config)
            if rank_of(job.config, os.environ) == 0:
                notes += _check_begin(job, is_continued=goes_on(job))
            noted = _check(job, seen, is_built=rehearsed.is_due(job))
            if noted is not None:
                in_vain.append(noted)
        except ConfigError as error:
            if job.number == 0:
                raise
            raise ConfigError(f"{error} (job {job.number}: {' '.join(job.overrides)})") from error
        names.append(str(job.config.name))
        if job.name:
            jobs.append(SweepJob(job.name, job.overrides, job.config.seed))
            folder = composer.sweep_folder
            trust += [*trust_of_overrides(job.overrides), *needed_trust(job.config)]
    different = list(dict.fromkeys(names))
    name = different[0] if len(different) == 1 else f"{len(different)} experiments"
    notes += _in_vain_everywhere(in_vain)
    return Plan(name, folder, tuple(jobs), tuple(dict.fromkeys(trust)), tuple(dict.fromkeys(notes)))


def _in_vain_everywhere(noted: list[list[str]]) -> list[str]:
    """Return the notes that all jobs have: what one of several reads was meant for that one."""
    first, *others = noted or [[]]  # of a sweep that is finished no job is left
    return [note for note in first if all(note in of_job for of_job in others)]


def _check_begin(job: Job, *, is_continued: bool) -> list[str]:
    """Refuse a folder that another run is in; return notes of what one goes on from."""
    refuse_used(Path(job.config.run_dir), is_continued=is_continued)
    if is_continued:
        return []
    refuse_epochs(job.overrides, job.config)
    _refuse_unfinished(job.config)
    return _of_checkpoint(job.config)


def _of_checkpoint(config: DictConfig) -> list[str]:
    """Return a note of what a run that goes on from another's checkpoint has otherwise."""
    if config.ckpt_path is None or not (differing := begun_otherwise(config)):
        return []
    return [
        f"ckpt_path={config.ckpt_path}: its run had {', '.join(differing)}; what a checkpoint "
        "holds, the optimizer's values, rows, counters and random numbers, stays as it was there"
    ]


_MOST_REHEARSED = 32
"""Jobs: building one takes a tenth of a second, where environments are quick to make."""


class _Rehearsed:
    """Knows which jobs are to be built before the first runs: those with a value that is new."""

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._number = 0

    def is_due(self, job: Job) -> bool:
        """Tell it of the next job; any seed is as good as another."""
        values = {one for one in job.overrides if key_of(one) != "seed"}
        is_new = job.number == 0 or not values <= self._values
        self._values |= values
        if not is_new or self._number == _MOST_REHEARSED:
            return False
        self._number += 1
        return True


def _check(job: Job, seen: set[str], *, is_built: bool) -> list[str] | None:
    """Check a job; return the notes of what it asks for in vain, None of one that isn't built."""
    check_keys(job.config)
    spread_budget(job.config)
    if not is_built:
        check_values(job.config, seen)
        return None
    training = training_module()
    experiment = training.prepare(without_hydra(job.config), seen)
    training.rehearse(experiment)
    of_pace = set_by_sampler(job.overrides, experiment.config, experiment.data.pace)
    return [*unread_hints(job.overrides, job.config), *of_pace]


def _refuse_unfinished(config: DictConfig) -> None:
    """Refuse the folder of a run that can go on, for one that doesn't go on with it."""
    checkpoint = Path(config.run_dir, CHECKPOINT)
    begun = None if config.ckpt_path is None else Path(str(config.ckpt_path)).absolute()
    if is_kept(checkpoint) and begun != checkpoint.absolute():
        raise ConfigError(
            f"{config.run_dir}: holds {CHECKPOINT} of a run that isn't finished, which a new one "
            f"would overwrite; choose another folder, or go on with that run: resume "
            f"{config.run_dir}"
        )
