"""Reads folders of runs, studies, sweeps and suites into one value."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning_dqn.report.configuration import FILES, settings_of
from lightning_dqn.report.reported import Reported, ReportedRun, RunSource, Setting
from lightning_dqn.reporting.metrics_file import METRICS
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.jobs import SweepJob, label_of
from lightning_dqn.runs.json_file import read_json
from lightning_dqn.runs.pruned import read_pruned
from lightning_dqn.runs.resume import flags_of_run
from lightning_dqn.study.namesakes import distinct_labels
from lightning_dqn.study.results import read_run
from lightning_dqn.study.results_files import RESULTS, read_results
from lightning_dqn.study.sweep import Sweep, is_sweep, read_sweep
from lightning_dqn.study.sweep_results import setting_command
from lightning_dqn.system.files import FAILURE, SUMMARY
from lightning_dqn.system.overrides import own_overrides

_DEPTH = 4
"""Folders below a named one in which runs are looked for."""


def gather(folders: Sequence[Path]) -> Reported:
    """Read what lies in folders: of a run, of a study, sweep or suite, or of several of them.

    Raises:
        ConfigError: a folder isn't there or holds no run, or a file in it is damaged.
    """
    found = list(dict.fromkeys(one for folder in folders for one in _found(folder)))
    sources = [_of_sweep(read_sweep(folder)) for folder in found if is_sweep(folder)]
    alone = [folder for folder in found if not is_sweep(folder)]
    if alone:
        sources.append(RunSource("runs", None, None, _alike([_alone(one) for one in alone])))
    return Reported(_labelled(sources), tuple(_notes(sources)))


def _found(folder: Path) -> list[Path]:
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "there is no such folder"
        raise ConfigError(f"{folder}: {what}; name the folder of a run, a study, sweep or suite")
    found = list(_below(Path(os.path.normpath(folder)), _DEPTH))
    if not found:
        raise ConfigError(
            f"{folder}: holds no run, study, sweep or suite; name a folder that training wrote, "
            "as runs/cartpole"
        )
    return found


def _below(folder: Path, depth: int) -> Iterator[Path]:
    if is_sweep(folder) or is_run(folder):
        yield folder
    elif depth > 0:
        for inner in sorted(folder.iterdir()):
            if inner.is_dir() and not inner.name.startswith("."):
                yield from _below(inner, depth - 1)


def is_run(folder: Path) -> bool:
    """Return whether a folder is that of a run, finished or not."""
    return any((folder / name).is_file() for name in (SUMMARY, METRICS, *FILES))


def _of_sweep(sweep: Sweep) -> RunSource:
    reasons = _reasons_of(sweep.folder)
    settings: dict[tuple[str, ...], list[SweepJob]] = {}
    for job in sweep.jobs:
        own = (job.name,) if sweep.search is not None else job.setting
        settings.setdefault(own, []).append(job)
    shared = [jobs[0].setting for jobs in settings.values()]
    found = []
    for jobs in settings.values():
        setting = jobs[0].setting
        label = jobs[0].name if sweep.search is not None else label_of(setting, shared)
        runs = [
            _run(sweep.folder, sweep.run_dir(job), job.seed, reasons.get(job.name, ""))
            for job in jobs
        ]
        ordered = tuple(sorted(runs, key=lambda run: run.seed or 0))
        command = setting_command(sweep, setting, jobs)
        found.append(Setting(label or sweep.name, sweep.name, command, setting, ordered))
    return RunSource(sweep.name, sweep.folder, sweep.command_line, tuple(found), sweep.suite)


def _reasons_of(folder: Path) -> dict[str, str]:
    """Return why runs failed, as the sweep's results tell it, by the names of their folders."""
    if not (folder / RESULTS).is_file():
        return {}
    failures = read_results(folder).failures
    return {one.run_dir: one.reason for one in failures}


def _run(sweep: Path, folder: Path, seed: int | None, reason: str = "") -> ReportedRun:
    if failure := _failure(folder):  # before a summary, which may be of an earlier part
        return ReportedRun(folder, seed, "failed", failure)
    if (folder / SUMMARY).is_file():
        try:
            return ReportedRun(folder, seed, "finished", result=read_run(sweep, folder))
        except ConfigError as error:
            return ReportedRun(folder, seed, "finished", str(error))
    if (pruned := read_pruned(folder)) is not None:
        return ReportedRun(folder, seed, "pruned", str(pruned))
    if reason:
        return ReportedRun(folder, seed, "failed", reason)
    if not is_run(folder):
        return ReportedRun(folder, seed, "not begun")
    return ReportedRun(folder, seed, "unfinished", "it is running, or was ended without a word")


def _failure(folder: Path) -> str:
    path = folder / FAILURE
    if not path.is_file():
        return ""
    with read_json(path, "why a run failed", "remove it") as failure:
        return str(failure["error"])


def _alone(folder: Path) -> Setting:
    """Return a run that was named by itself as a setting of its own."""
    run = _run(folder.parent, folder, None)
    config = run.configuration
    seed = run.result.seed if run.result is not None else config.get("seed")
    name = str(config.get("name") or folder.name)
    overrides = own_overrides(folder)
    shared = SweepJob(name, overrides or ()).setting
    command = None if overrides is None else _command([*flags_of_run(folder), *overrides])
    return Setting(name, name, command, shared, (replace(run, seed=seed),))


def _command(overrides: Sequence[str]) -> str:
    return shlex.join(["python", "-m", "lightning_dqn", *overrides])


def _alike(settings: Sequence[Setting]) -> tuple[Setting, ...]:
    """Put runs together that differ by their seed alone, as their configurations say."""
    found: dict[Any, Setting] = {}
    for number, setting in enumerate(settings):
        [run] = setting.runs
        own = settings_of(run.configuration)
        key: Any = (setting.name, *sorted(own.items())) if own else number
        if (known := found.get(key)) is not None and run.seed not in [r.seed for r in known.runs]:
            runs = sorted([*known.runs, run], key=lambda one: one.seed or 0)
            found[key] = replace(known, runs=tuple(runs), command=_of_seeds(known, runs))
        else:
            found[key if known is None else number] = setting
    return tuple(found.values())


def _of_seeds(setting: Setting, runs: Sequence[ReportedRun]) -> str | None:
    if setting.command is None:
        return None
    seeds = ",".join(str(run.seed) for run in runs)
    flags = flags_of_run(runs[0].folder)
    return _command(["study", *flags, *setting.overrides, f"seeds={seeds}"])


def _labelled(sources: Sequence[RunSource]) -> tuple[RunSource, ...]:
    """Give every setting a label that no other one has, by its source where need be."""
    several = len(sources) > 1
    settings = [(source, one) for source in sources for one in source.settings]
    labels = [
        f"{source.name} {one.label}"
        if several and source.folder is not None and one.label != source.name
        else one.label
        for source, one in settings
    ]
    free = iter(distinct_labels(labels, [_place(one) for _, one in settings]))
    return tuple(
        replace(source, settings=tuple(replace(one, label=next(free)) for one in source.settings))
        for source in sources
    )


def _place(setting: Setting) -> Path:
    """Return the folder of a setting's runs, of a single run its own."""
    folder = setting.runs[0].folder
    return folder if len(setting.runs) == 1 else folder.parent


def _notes(sources: Sequence[RunSource]) -> Iterator[str]:
    environments = {one.environment for source in sources for one in source.settings}
    if len(environments) > 1:
        yield (
            f"{len(environments)} environments: returns are compared within each, never across them"
        )
