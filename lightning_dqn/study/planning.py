"""Which jobs a sweep has, new or gone on with: composed and checked before any of them runs."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.compose import Composer
from lightning_dqn.runs.hydra_jobs import Job
from lightning_dqn.runs.jobs import SweepJob
from lightning_dqn.runs.jobs_check import Plan, check_jobs
from lightning_dqn.runs.resume import Resumed, quoted
from lightning_dqn.runs.trust import Trust, check_overrides, check_saved, needed_trust, trusted
from lightning_dqn.safekeeping.folder_lock import resume_command
from lightning_dqn.study.sweep import Sweep, is_sweep
from lightning_dqn.system.files import SWEEP
from lightning_dqn.system.overrides import key_of


def begun(plan: Plan, command: Sequence[str], num_at_once: int | None = None) -> Sweep:
    """Return the sweep that a command asks for.

    Args:
        plan: its jobs.
        command: of the command line.
        num_at_once: jobs at once, in processes; None: another launcher has them.

    Raises:
        ConfigError: its folder has another one, or two of its jobs are the same.
    """
    folder = plan.folder
    assert folder is not None, "a plan of several jobs"
    if is_sweep(folder):
        raise ConfigError(f"{folder}: holds a sweep already; continue it: {resume_command(folder)}")
    _check_different(plan.jobs)
    return Sweep(plan.name, folder, tuple(command), plan.jobs, num_at_once, trust=plan.trust)


def gone_on_with(sweep: Sweep, arguments: Sequence[str] = ()) -> Composer:
    """Return the composer of what isn't finished of a sweep, which :func:`check_pending` checks.

    Args:
        sweep: of a folder.
        arguments: flags and Hydra's own keys, which a folder doesn't say.

    Raises:
        ConfigError: an argument would change what the sweep was asked for.
    """
    for argument in arguments:
        if not argument.startswith("-") and not _is_hydras(argument):
            raise ConfigError(
                f"{argument}: a sweep continues as it was asked for; beside its folder it takes "
                "flags as --config-dir, keys of Hydra's own and trust="
            )
    placed = f"hydra.sweep.dir={quoted(sweep.folder.absolute())}"
    return Composer([*_launched(sweep, arguments), *arguments, placed], sweep.pending)


def check_pending(composer: Composer, sweep: Sweep, trust: Trust | None) -> Sweep:
    """Check what isn't finished of a sweep, as :func:`check_jobs` does; return it as it may run.

    Args:
        composer: of :func:`gone_on_with`.
        sweep: of a folder.
        trust: what its jobs may name beside what every run needs; None: anything, for all of it
            was typed again.

    Raises:
        ConfigError: a job can't run, isn't trusted, or is the same as another.
    """
    if trust is not None:
        for job in sweep.pending:
            check_overrides(job.overrides, trust, str(sweep.folder / SWEEP))
    plan = check_jobs(composer, _goes_on(sweep, trust))
    named = (name for name in plan.trust if trust is None or trust.covers(name))
    composed = {job.name: job for job in plan.jobs}
    jobs = tuple(composed.get(job.name, job) for job in sweep.jobs)
    if sweep.search is None:
        _check_different(jobs)
    return replace(sweep, jobs=jobs, trust=tuple(named))


def _check_different(jobs: Sequence[SweepJob]) -> None:
    """Refuse two jobs of the same setting and seed, which would count as independent."""
    seen: dict[tuple[tuple[str, ...], int | None], SweepJob] = {}
    for job in jobs:
        same = seen.setdefault((job.setting, job.seed), job)
        if same is not job:
            raise ConfigError(
                f"seed={job.seed}: {same.name} and {job.name} are the same run, which would count "
                "twice; ask for each seed of a setting once"
            )


def _goes_on(sweep: Sweep, trust: Trust | None) -> Callable[[Job], bool]:
    by_name = {job.name: job for job in sweep.jobs}

    def goes_on(composed: Job) -> bool:
        if trust is not None:
            check_saved(composed.config, trust, str(sweep.folder), folder=sweep.folder)
        job = by_name[composed.name]
        if not sweep.goes_on(job):
            return False
        allowed = Trust.of(",".join(needed_trust(composed.config))) if trust is None else trust
        Resumed(sweep.run_dir(job), [], [], allowed).check(composed.config)
        return True

    return goes_on


def again(sweep: Sweep, composer: Composer) -> str:
    """Return the command that goes on with a sweep, with what its folder may not say."""
    flags = [one for one in composer.arguments_of_jobs if one.startswith("--")]
    hydras = [one for one in composer.overrides if _is_hydras(one)]
    if sweep.num_at_once is not None:  # which the folder says
        hydras = [one for one in hydras if not one.startswith(("hydra/launcher", "hydra.launcher"))]
    own = [*flags, *hydras, *trusted(sweep.trust)]
    return shlex.join(["python", "-m", "lightning_dqn", "resume", str(sweep.folder), *own])


def _is_hydras(override: str) -> bool:
    key = key_of(override)
    return key.startswith(("hydra.", "hydra/")) and key not in ("hydra.sweep.dir", "hydra.mode")


def _launched(sweep: Sweep, arguments: Sequence[str]) -> list[str]:
    """Return how the jobs were launched, where the folder knows and nothing else is asked."""
    if sweep.num_at_once is None or any(one.startswith("hydra/launcher=") for one in arguments):
        return []
    return in_processes(sweep.num_at_once)


def in_processes(number: int) -> list[str]:
    """Return the arguments by which so many jobs run at once, each in a process."""
    return ["hydra/launcher=processes", f"hydra.launcher.n_jobs={number}"]
