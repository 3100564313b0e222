"""The files of a sweep's results: tables, curves, a plot, and what programs read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lightning_dqn.reporting.metrics_file import Series
from lightning_dqn.reporting.tables import table_text
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.json_file import read_json
from lightning_dqn.safekeeping.folder_lock import resume_command
from lightning_dqn.study.curve import Curve, join, plot, read_drawable, write_curves
from lightning_dqn.study.results import CONFIDENCE, Failure, PrunedRun, Results, Run
from lightning_dqn.study.suite import Suite
from lightning_dqn.study.suite_files import write_suite
from lightning_dqn.study.suite_results import SuiteResults
from lightning_dqn.study.sweep import is_sweep, read_sweep
from lightning_dqn.study.sweep_results import SweepResults
from lightning_dqn.study.tables import INTERVAL
from lightning_dqn.system.files import write_json, write_text

RESULTS, ROWS, TABLE, CURVE, PLOT = (
    "results.json",
    "results.csv",
    "table.md",
    "curve.csv",
    "curve.png",
)
MOST_LINES = 10
"""Settings that a plot shows: the best."""


def write_results(results: SweepResults) -> list[str]:
    """Write results, tables, curves and plot into the sweep's folder.

    Returns:
        What is left out and why, in a line each.
    """
    folder = results.folder
    write_text(folder / TABLE, f"# {results.name}\n\n`{results.command}`\n\n{results}\n")
    write_text(folder / ROWS, _rows(results))
    settings = [{**asdict(one), "aggregate": one.aggregate()} for one in results.settings]
    for one in settings:
        del one["folder"]  # which may be moved
    named: dict[str, Any] = {"name": results.name, "command": results.command}
    if results.ranked_by is not None:
        named |= {"ranked_by": results.ranked_by, "minimizes": results.minimizes}
    notes = []
    if results.suite is not None:
        found = SuiteResults.of(results.suite, results.settings)
        named |= {"suite": asdict(results.suite), "suite_results": found.plain()}
        notes = write_suite(found, folder, results.name)
    write_json(folder / RESULTS, {**named, "settings": settings})
    return [*notes, *_write_curves(results)]


def _rows(results: SweepResults) -> str:
    """Return the lines of a table for other programs, one for each setting."""
    return table_text([_row(one) for one in results.settings])


def _row(setting: Results) -> dict[str, Any]:
    values = setting.aggregate()
    values = {key: f"{value:.10g}" for key, value in values.items() if isinstance(value, float)}
    low, high = (f"{end:.10g}" for end in setting.interval) if setting.interval else ("", "")
    runs = setting.runs
    return {
        "setting": setting.name,
        "overrides": " ".join(setting.overrides),
        "finished": len(runs),
        "failed": len(setting.failures),
        "iqm": values.get("iqm", ""),
        "low": low,
        "high": high,
        **{key: values.get(key, "") for key in ("mean", "median", "min", "max")},
        "episodes": sum(run.episodes for run in runs),
        "env_steps": max((run.env_steps for run in runs), default=""),
        "wall_seconds": f"{sum(run.wall_seconds for run in runs):.1f}",
        "seeds": " ".join(str(run.seed) for run in runs),
        **_of_trial(setting),
    }


def _of_trial(setting: Results) -> dict[str, Any]:
    """Return what a trial of a search has beside, nothing of other settings."""
    if setting.value is not None:
        return {"value": f"{setting.value:.10g}"}
    if setting.pruned:
        return {"pruned_at_env_steps": setting.pruned[0].env_steps}
    return {}


def _write_curves(results: SweepResults) -> list[str]:
    read = {
        (setting.name, run.seed): read_drawable(results.folder / run.run_dir)
        for setting in results.settings
        for run in setting.runs
    }
    is_single = len(results.settings) == 1
    notes = [
        f"{'' if is_single else f'{name}, '}seed {seed}: {note}"
        for (name, seed), (_, note) in read.items()
        if note
    ]
    evaluations = {of: one for of, (one, _) in read.items() if one is not None}
    curves: dict[str, Curve] = {}
    for setting in sorted(results.settings, key=lambda one: one.iqm, reverse=True):
        found = [evaluations.get((setting.name, run.seed)) for run in setting.runs]
        curve = join([one for one in found if one is not None], CONFIDENCE)
        if curve is not None:
            curves[setting.name] = curve
        elif setting.runs:
            notes.append(f"{setting.name}: no curve, its runs have no env steps in common")
    if not curves:
        return notes
    write_curves(curves, results.folder / CURVE)
    note = _plot(results, curves, list(evaluations.values()))
    return [*notes, note] if note else notes


def _plot(results: SweepResults, curves: Mapping[str, Curve], runs: list[Series]) -> str | None:
    path = results.folder / PLOT
    if len(results.settings) == 1:
        [curve] = curves.values()
        single = runs if len(runs) > 1 else []
        seed = results.settings[0].runs[0].seed
        label = f"IQM of {len(runs)} seeds, {INTERVAL}" if single else f"seed {seed}"
        return plot({label: curve}, path, title=results.name, single=single)
    shown = dict(list(curves.items())[:MOST_LINES])
    which = f"the best {len(shown)} of {len(curves)} settings" if len(shown) < len(curves) else ""
    has_seeds = any(len(setting.runs) > 1 for setting in results.settings)
    what = f"IQM and {INTERVAL} over seeds" if has_seeds else "one seed each"
    title = ", ".join(filter(None, [results.name, which, what]))
    return plot(shown, path, title=title)


def read_finished(folder: Path) -> SweepResults:
    """Read the results of a sweep, for a report.

    Raises:
        ConfigError: there are none, or not of all runs that were asked for.
    """
    if _is_open(folder):
        raise ConfigError(f"report={folder}: isn't finished; continue it: {resume_command(folder)}")
    return read_results(folder)


def _is_open(folder: Path) -> bool:
    """Return whether runs were asked for that nothing was said of yet."""
    if not is_sweep(folder):
        return False
    try:
        settings = read_results(folder).settings
    except ConfigError:
        return True
    known = sum(len(one.runs) + len(one.failures) + len(one.pruned) for one in settings)
    return known < len(read_sweep(folder).jobs)


def read_results(folder: str | Path) -> SweepResults:
    """Read what :func:`write_results` wrote, also what studies wrote up to 0.1.

    Raises:
        ConfigError: the folder isn't that of a finished sweep.
    """
    path = Path(folder) / RESULTS
    with read_json(path, "the results of a finished sweep or study") as saved:
        settings = saved["settings"] if "settings" in saved else [_of_former(saved)]
        return SweepResults(
            name=saved["name"],
            folder=Path(folder),
            command=saved["command"],
            settings=tuple(_setting(one, Path(folder)) for one in settings),
            ranked_by=saved.get("ranked_by"),
            minimizes=bool(saved.get("minimizes", False)),
            suite=None if saved.get("suite") is None else Suite.of(saved["suite"]),
        )


def _setting(saved: Mapping[str, Any], folder: Path) -> Results:
    return Results(
        name=saved["name"],
        folder=folder,
        command=saved["command"],
        overrides=tuple(saved["overrides"]),
        runs=tuple(_run(run) for run in saved["runs"]),
        failures=tuple(Failure(**one) for one in saved["failures"]),
        pruned=tuple(PrunedRun(**one) for one in saved.get("pruned", ())),
        value=saved.get("value"),
    )


def _run(saved: Mapping[str, Any]) -> Run:
    return Run(**{**saved, "changed_by_hand": tuple(saved.get("changed_by_hand", ()))})


def _of_former(saved: Mapping[str, Any]) -> dict[str, Any]:
    failures = [
        {"seed": one["seed"], "reason": one["reason"], "run_dir": f"seed_{one['seed']}"}
        for one in saved["failures"]
    ]
    return {**saved, "failures": failures}
