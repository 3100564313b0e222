"""All jobs of a command line looked at before the first of them begins."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from omegaconf import DictConfig

from lightning_dqn.runs.budget import refuse_epochs, refuse_nothing_left, spread_budget
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.check import check_keys, check_parts, check_values
from lightning_dqn.runs.compose import Composer, without_hydra
from lightning_dqn.runs.hydra_jobs import Job
from lightning_dqn.runs.jobs import SweepJob
from lightning_dqn.runs.ranks import check_common_folder, check_launcher, rank_of
from lightning_dqn.runs.resume import CHECKPOINT, begun_otherwise, is_own
from lightning_dqn.runs.shell import shown
from lightning_dqn.runs.training import training_module
from lightning_dqn.runs.trust import needed_trust, trust_of_overrides
from lightning_dqn.runs.unread import AskedInVain, Unread, of_hints, unread_hints
from lightning_dqn.safekeeping.folder_lock import refuse_used, resume_command
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
    """

    name: str
    folder: Path | None
    jobs: tuple[SweepJob, ...]
    trust: tuple[str, ...] = ()


def check_jobs(composer: Composer, goes_on: Callable[[Job], bool] = _is_new) -> Plan:
    """Refuse what can't run, in any job, before a run's folder or logger exists.

    Keys and values of all jobs, and of those that bring in a value that none before had, the first
    among them, all that can be known by building it. What the user should know of them before
    they begin is noted, see :attr:`lightning_dqn.runs.compose.Composer.notes`.

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
    of_hint, of_part = AskedInVain(), AskedInVain()
    folder = None
    for job in composer.jobs():
        try:
            check_parts(job.config)
            check_common_folder(job.config, os.environ)
            if job.name:
                check_launcher(job.config)
            if is_first := rank_of(job.config, os.environ) == 0:
                composer.note(_check_begin(job, is_continued=goes_on(job)))
            unread = _check(job, seen, is_built=rehearsed.is_due(job))
            if is_first and not job.stands_for_others:  # of which one can't say what they read
                of_hint.look(of_hints(job.overrides), [*unread_hints(job.overrides, job.config)])
                if unread is not None:
                    of_part.look(job.overrides, unread)
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
    composer.note(of_hint.notes())
    if not rehearsed.has_skipped:
        composer.note(of_part.notes())
    return Plan(name, folder, tuple(jobs), tuple(dict.fromkeys(trust)))


def _check_begin(job: Job, *, is_continued: bool) -> list[str]:
    """Refuse a folder that another run is in; return notes of what one goes on from."""
    refuse_used(Path(job.config.run_dir), is_continued=is_continued)
    if is_continued:
        refuse_nothing_left(job.config)
        return []
    refuse_epochs(job.overrides, job.config)
    _refuse_unfinished(job.config)
    refuse_nothing_left(job.config)
    return _of_checkpoint(job.config)


def _of_checkpoint(config: DictConfig) -> list[str]:
    """Return a note of what a run that goes on from another's checkpoint has otherwise."""
    if config.ckpt_path is None or not (differing := begun_otherwise(config)):
        return []
    path = shown(Path(config.ckpt_path))
    return [
        f"ckpt_path={path}: its run had {', '.join(differing)}; what a checkpoint "
        "holds, the optimizer's values, rows, counters and random numbers, stays as it was there; "
        f"weights_from={path} takes its network alone"
    ]


_MOST_REHEARSED = 32
"""Jobs: building one takes a tenth of a second, where environments are quick to make."""


class _Rehearsed:
    """Knows which jobs are to be built before the first runs: those with a value that is new.

    Attributes:
        has_skipped: there were too many of them.
    """

    def __init__(self) -> None:
        self.has_skipped = False
        self._values: set[str] = set()
        self._number = 0

    def is_due(self, job: Job) -> bool:
        """Tell it of the next job; any seed is as good as another."""
        values = {one for one in job.overrides if key_of(one) != "seed"}
        is_new = job.number == 0 or not values <= self._values
        self._values |= values
        if not is_new:
            return False
        if self._number == _MOST_REHEARSED:
            self.has_skipped = True
            return False
        self._number += 1
        return True


def _check(job: Job, seen: set[str], *, is_built: bool) -> list[Unread] | None:
    """Check a job; return what its parts don't read, None of one that isn't built."""
    check_keys(job.config)
    spread_budget(job.config)
    if not is_built:
        check_values(job.config, seen)
        return None
    training = training_module()
    experiment = training.prepare(without_hydra(job.config), seen)
    training.rehearse(experiment)
    # It brings torch, which help and a look at a configuration do without.
    from lightning_dqn.runs.switched_off import switched_off

    return list(switched_off(experiment))


def _refuse_unfinished(config: DictConfig) -> None:
    """Refuse the folder of a run that can go on, for one that doesn't go on with it."""
    checkpoint = Path(config.run_dir, CHECKPOINT)
    goes_on = config.ckpt_path is not None and is_own(str(config.ckpt_path), config.run_dir)
    if is_kept(checkpoint) and not goes_on:
        raise ConfigError(
            f"{config.run_dir}: holds {CHECKPOINT} of a run that isn't finished, which a new one "
            "would overwrite; choose another folder, or continue that run: "
            f"{resume_command(config.run_dir)}"
        )
