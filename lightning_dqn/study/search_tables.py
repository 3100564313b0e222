"""The trials of a search as a table, and what pruning spared."""

from __future__ import annotations

from collections.abc import Sequence

from lightning_dqn.reporting.tables import duration, markdown
from lightning_dqn.study.results import Results


def trials_table(trials: Sequence[Results], ranked_by: str) -> str:
    """Return a Markdown table of one row for each trial, in their order."""
    rows = [["trial", "state", ranked_by, "env steps", "time"]]
    for trial in trials:
        if trial.pruned:
            [one] = trial.pruned
            rows.append([trial.name, "pruned", f"{one.value:.1f}", f"{one.env_steps:,}", ""])
        elif trial.runs and trial.value is not None:
            [run] = trial.runs
            seconds = duration(run.wall_seconds)
            value = f"{trial.value:.4g}" if abs(trial.value) < 1 else f"{trial.value:.1f}"
            rows.append([trial.name, "finished", value, f"{run.env_steps:,}", seconds])
        else:
            rows.append([trial.name, "failed", "", "", ""])
    return markdown(rows)


def trials_line(trials: Sequence[Results]) -> str:
    """Return how many trials there are of each kind, and how many env steps pruning spared.

    Without it each trial that was pruned would have had as many as the longest that finished.
    """
    finished = [run.env_steps for one in trials for run in one.runs]
    pruned = [run.env_steps for one in trials for run in one.pruned]
    num_failed = len(trials) - len(finished) - len(pruned)
    counts = f"{len(trials)} trials: {len(finished)} finished, {len(pruned)} pruned"
    if num_failed:
        counts += f", {num_failed} failed"
    spent = sum(finished) + sum(pruned)
    if not finished or not pruned:
        return f"{counts}; {spent:,} env steps"
    whole = sum(finished) + len(pruned) * max(finished)
    spared = max(0.0, 1 - spent / whole)
    return f"{counts}; {spent:,} env steps, {100 * spared:.0f} % fewer than without pruning"
