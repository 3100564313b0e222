"""Several finished sweeps and studies in one table and one plot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lightning_dqn.runs.build import ConfigError
from lightning_dqn.study.curve import (
    METRIC,
    Curve,
    evaluated_metrics,
    join,
    plot,
    read_curves,
    read_drawable,
)
from lightning_dqn.study.results import CONFIDENCE, Results
from lightning_dqn.study.results_files import CURVE, PLOT, TABLE
from lightning_dqn.study.tables import INTERVAL, comparison, labels, lines_of_untested
from lightning_dqn.system.files import write_text


def write_comparison(
    studies: Sequence[Results], folder: Path, metric: str = METRIC, *, log: bool = False
) -> tuple[str, list[str]]:
    """Write one table of several settings and one plot of ``metric`` into ``folder``.

    Args:
        studies: to compare, of one sweep or of several.
        folder: for both; made if need be.
        metric: a key of the runs' evaluations.
        log: draw it on a logarithmic scale.

    Returns:
        The table, and what is left out and why, in a line each.

    Raises:
        ConfigError: no run was evaluated by the metric, or one's metrics can't be read; nothing
            was written.
    """
    _check_metric(studies, metric)
    labelled = dict(zip(labels(studies), studies, strict=True))
    untested = lines_of_untested(run for study in studies for run in study.runs)
    table = "\n\n".join([comparison(labelled), *untested])
    commands = "\n".join(f"- {label}: `{study.command}`" for label, study in labelled.items())
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / TABLE, f"{table}\n\n{commands}\n")
    read = {label: _curve(study, metric) for label, study in labelled.items()}
    notes = [f"{label}, {note}" for label, (_, own) in read.items() for note in own]
    what = CURVE if metric == METRIC else f"{metric} at env steps in common"
    notes += [f"{label}: no {what}, so no line" for label, (one, _) in read.items() if one is None]
    curves = {label: one for label, (one, _) in read.items() if one is not None}
    title = f"IQM and {INTERVAL} over seeds"
    note = plot(curves, folder / PLOT, title=title, metric=metric, log=log) if curves else None
    return table, [*notes, note] if note else notes


def _check_metric(studies: Sequence[Results], metric: str) -> None:
    if metric == METRIC:
        return
    runs = [study.folder / run.run_dir for study in studies for run in study.runs]
    known = set[str]().union(*map(evaluated_metrics, runs))
    if metric not in known:
        there_are = ", ".join(sorted(known)) or "none"
        raise ConfigError(f"metric={metric}: no run was evaluated by it; there are {there_are}")


def _curve(study: Results, metric: str) -> tuple[Curve | None, list[str]]:
    """Return a setting's curve if it has one, and what isn't in it, in a line for each run."""
    if metric == METRIC:
        curves = read_curves(study.folder / CURVE)
        return curves.get(study.name, curves.get(None)), []
    runs = {run.seed: read_drawable(study.folder / run.run_dir, metric) for run in study.runs}
    curve = join([one for one, _ in runs.values() if one is not None], CONFIDENCE)
    return curve, [f"seed {seed}: {note}" for seed, (_, note) in runs.items() if note]
