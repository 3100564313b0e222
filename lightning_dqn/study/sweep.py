"""A sweep's folder: what was asked for, and what has become of each of its jobs."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.hydra_flags import in_one_word
from lightning_dqn.runs.jobs import SweepJob, is_of_folder
from lightning_dqn.runs.resume import CHECKPOINT
from lightning_dqn.safekeeping.generations import is_kept
from lightning_dqn.study.search import Search
from lightning_dqn.study.suite import Suite
from lightning_dqn.system.files import FAILURE, PRUNED, SUMMARY, SWEEP, write_json

FORMERLY = "study.json"
"""What studies had in its place up to 0.1; their jobs' folders were called ``seed_<number>``."""


@dataclass(frozen=True)
class Sweep:
    """Several runs in one folder: settings, each with its seeds.

    Attributes:
        name: of its runs.
        folder: has a folder for each job.
        command: that began it.
        jobs: in the order they are begun.
        num_at_once: how many the command ran at once in processes of their own; None: it had
            another launcher.
        search: that makes the jobs up as it goes; None: all are known from the start.
        suite: whose games the jobs play; None: it is of none.
        trust: what its jobs name that is trusted; a folder doesn't say it.
    """

    name: str
    folder: Path
    command: tuple[str, ...]
    jobs: tuple[SweepJob, ...]
    num_at_once: int | None = None
    search: Search | None = None
    suite: Suite | None = None
    trust: tuple[str, ...] = ()

    @property
    def command_line(self) -> str:
        """The command that runs the same again, elsewhere."""
        return shlex.join(["python", "-m", "lightning_dqn", *self.command])

    @property
    def pending(self) -> list[SweepJob]:
        """The jobs that aren't over."""
        return [job for job in self.jobs if not self.is_over(job)]

    def run_dir(self, job: SweepJob) -> Path:
        """Return the folder of a job's run."""
        return self.folder / job.name

    def log(self, job: SweepJob) -> Path:
        """Return the file of what a job prints that has a process of its own."""
        return self.folder / f"{job.name}.log"

    def is_finished(self, job: SweepJob) -> bool:
        """Return whether a job's run is complete."""
        return (self.run_dir(job) / SUMMARY).is_file()

    def is_over(self, job: SweepJob) -> bool:
        """Return whether a job's run is complete, or was given up by the search that it is of."""
        return self.is_finished(job) or (self.run_dir(job) / PRUNED).is_file()

    def goes_on(self, job: SweepJob) -> bool:
        """Return whether a job's run has a checkpoint to go on from."""
        return is_kept(self.run_dir(job) / CHECKPOINT)

    def clear(self, job: SweepJob) -> None:
        """Make room for a job: what one left that never got to a checkpoint is moved aside."""
        run_dir = self.run_dir(job)
        (run_dir / FAILURE).unlink(missing_ok=True)
        if not run_dir.exists() or self.goes_on(job):
            return
        number = 1
        while (free := run_dir.with_name(f"{run_dir.name}_unfinished_{number}")).exists():
            number += 1
        run_dir.rename(free)

    def failure(self, job: SweepJob) -> str | None:
        """Return why a job failed, as it said itself; None where it said nothing."""
        try:
            return str(json.loads((self.run_dir(job) / FAILURE).read_text())["error"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self) -> None:
        """Write what was asked for into the folder, which is made if need be."""
        self.folder.mkdir(parents=True, exist_ok=True)
        asked: dict[str, Any] = {
            "name": self.name,
            "command": self.command,
            "num_at_once": self.num_at_once,
            "jobs": [
                {"name": job.name, "overrides": job.overrides, "seed": job.composed_seed}
                for job in self.jobs
            ],
        }
        if self.search is not None:
            asked["search"] = asdict(self.search)
        if self.suite is not None:
            asked["suite"] = asdict(self.suite)
        write_json(self.folder / SWEEP, asked)


def is_sweep(folder: Path) -> bool:
    """Return whether a folder is one of a sweep."""
    return any((folder / name).is_file() for name in (SWEEP, FORMERLY))


def read_sweep(folder: Path) -> Sweep:
    """Return the sweep of a folder.

    Raises:
        ConfigError: it is none of a sweep.
    """
    try:
        if (folder / FORMERLY).is_file() and not (folder / SWEEP).is_file():
            return _read_former(folder)
        asked = json.loads((folder / SWEEP).read_text())
        return Sweep(
            name=str(asked["name"]),
            folder=folder,
            command=tuple(in_one_word(_texts(asked["command"]))),
            jobs=tuple(
                _job(folder, one["name"], one["overrides"], one.get("seed"))
                for one in asked["jobs"]
            ),
            num_at_once=None if asked["num_at_once"] is None else int(asked["num_at_once"]),
            search=None if asked.get("search") is None else Search.of(asked["search"]),
            suite=None if asked.get("suite") is None else Suite.of(asked["suite"]),
        )
    except ConfigError:  # of a search or a suite, by its key
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"folder={folder}: not that of a sweep or a study ({error})") from error


def _read_former(folder: Path) -> Sweep:
    asked = json.loads((folder / FORMERLY).read_text())
    arguments = in_one_word(_texts(asked["arguments"]))
    seeds = [int(seed) for seed in asked["seeds"]]
    overrides = tuple(one for one in arguments if not one.startswith("-"))
    jobs = tuple(_job(folder, f"seed_{seed}", (*overrides, f"seed={seed}")) for seed in seeds)
    command = ("study", *arguments, seeds_text(seeds))
    return Sweep(str(asked["name"]), folder, command, jobs, num_at_once=1)


def _job(folder: Path, name: str, overrides: Sequence[str], seed: int | None = None) -> SweepJob:
    if not is_of_folder(name):
        raise ValueError(f"{name!r} is no name of a job's folder")
    job = SweepJob(name, _texts(overrides), None if seed is None else int(seed))
    if job.seed is not None:
        return job
    return replace(job, composed_seed=_seed_of_summary(folder / name))


def _seed_of_summary(run_dir: Path) -> int | None:
    """Return the seed of a finished run of whose sweep 0.2 noted none."""
    try:
        return int(json.loads((run_dir / SUMMARY).read_text())["seed"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _texts(values: Sequence[str]) -> tuple[str, ...]:
    if isinstance(values, str) or not all(isinstance(one, str) for one in values):
        raise ValueError(f"{values!r} is no list of texts")
    return tuple(values)


def seeds_text(seeds: Sequence[int]) -> str:
    """Return the argument that names these seeds."""
    return "seeds=" + ",".join(map(str, seeds)) + ("," if len(seeds) == 1 else "")
