"""Results as tables that read well as Markdown and as plain text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from lightning_dqn.reporting.statistics import interquartile_mean
from lightning_dqn.reporting.tables import duration, interval_text, markdown
from lightning_dqn.study.namesakes import distinct_labels
from lightning_dqn.study.results import CONFIDENCE, Results, Run

INTERVAL = f"{100 * CONFIDENCE:.0f} % interval"


def runs_table(results: Results) -> str:
    """Return a Markdown table of one row for each run, and those that failed."""
    rows = [["seed", "return", "±", "episodes", "env steps", "updates", "time"]]
    for run in results.runs:
        spread = "" if run.episode_return_std is None else f"{run.episode_return_std:.1f}"
        counts = (f"{n:,}" for n in (run.episodes, run.env_steps, run.updates))
        value = f"{run.episode_return:.1f}"
        rows.append([str(run.seed), value, spread, *counts, duration(run.wall_seconds)])
    rows += [[str(one.seed), "failed", *[""] * 5] for one in results.failures]
    return markdown(rows)


def lines_of_changes(runs: Iterable[Run]) -> list[str]:
    """Return a line for each run that no command makes again, by its folder."""
    return [
        f"{run.run_dir} was changed by hand: {'; '.join(run.changed_by_hand)}"
        for run in runs
        if run.changed_by_hand
    ]


def lines_of_untested(runs: Iterable[Run]) -> list[str]:
    """Return a line that says what stands for a test's return; none where all were tested."""
    if all(run.episodes for run in runs):
        return []
    return ["the return is the best evaluation of each run that played no test episodes"]


def comparison(studies: Mapping[str, Results], what: str = "study") -> str:
    """Return a Markdown table of one row for each study or setting, by its label."""
    head = [what, "seeds", f"IQM [{INTERVAL}]", "mean", "median", "min", "max", "env steps"]
    rows = [[*head, "time per seed"]]
    for label, study in studies.items():
        total = len(study.runs) + len(study.failures)
        seeds = f"{len(study.runs)} of {total}" if study.failures else f"{total}"
        cells = ["failed", *[""] * 6]
        if study.runs:
            values = study.aggregate()
            numbers = (f"{values[key]:.1f}" for key in ("mean", "median", "min", "max"))
            cells = [iqm_text(study), *numbers, env_steps_text(study), time_text(study)]
        rows.append([label, seeds, *cells])
    return markdown(rows)


def labels(studies: Sequence[Results]) -> list[str]:
    """Return a short label for each study: its name, and what sets it apart from its namesakes."""
    shared = set.intersection(*(set(study.overrides) for study in studies))
    names = [study.name for study in studies]
    own = [" ".join(one for one in study.overrides if one not in shared) for study in studies]
    found = [
        f"{name} {more}".strip() if names.count(name) > 1 else name
        for name, more in zip(names, own, strict=True)
    ]
    return distinct_labels(found, [study.folder for study in studies])


def iqm_text(study: Results) -> str:
    """Return the interquartile mean and its interval, as ``500.0 [498.1, 500.0]``."""
    return interval_text(interquartile_mean(study.returns), study.interval, ".1f")


def env_steps_text(study: Results) -> str:
    """Return the env steps of a run, those of the longest where they differ."""
    return f"{max(run.env_steps for run in study.runs):,}"


def time_text(study: Results) -> str:
    """Return the median wall-clock time of a run."""
    return duration(float(np.median([run.wall_seconds for run in study.runs])))
