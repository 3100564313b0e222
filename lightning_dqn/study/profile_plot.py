"""Performance profiles as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lightning_dqn.study.aggregates import Scores, runs_of
from lightning_dqn.study.curve import PLOT_HINT
from lightning_dqn.study.profiles import performance_profile
from lightning_dqn.study.tables import INTERVAL
from lightning_dqn.system.files import write_whole

_HIGHEST = 8.0  # beyond it a few games would take all of the picture


def plot_profiles(
    runs: Mapping[str, Scores], means: Mapping[str, Scores], path: Path, *, title: str
) -> str | None:
    """Draw the share of runs above each normalised score, and of games for those without runs.

    Args:
        runs: by label the scores of an agent's runs; each has a line with its band.
        means: likewise of agents of which there are mean scores of games alone; dashed.
        path: of the picture.
        title: above it.

    Returns:
        None, or why there is no plot: matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return f"{path.name} left out, matplotlib is missing: {PLOT_HINT}"
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    levels = np.linspace(0.0, _highest(runs), 201)
    lines: list[tuple[str, Scores, dict[str, Any]]] = [
        *((f"{label} (runs)", one, {"linewidth": 2}) for label, one in runs.items()),
        *(
            (f"{label} (per-game means)", one, {"linewidth": 1, "linestyle": "--"})
            for label, one in means.items()
        ),
    ]
    for number, (label, scores, style) in enumerate(lines):
        found, color = performance_profile(scores, levels), f"C{number % 10}"
        axes.step(levels, found.share, where="post", label=label, color=color, **style)
        if found.low is not None and found.high is not None:
            ends = (found.low, found.high)
            axes.fill_between(levels, *ends, step="post", fc=color, alpha=0.2, lw=0)
    axes.set(title=title, xlabel="human-normalised score τ", ylabel="share above τ")
    axes.set_xlim(0, levels[-1])
    axes.set_ylim(0, 1)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(title=f"bands: {INTERVAL}", edgecolor="none", framealpha=0.8)
    kind = path.suffix.removeprefix(".")
    write_whole(path, lambda temporary: figure.savefig(temporary, dpi=150, format=kind))
    return None


def _highest(scores: Mapping[str, Scores]) -> float:
    """Return where the axis ends: at twice a person's score, or above the best run."""
    best = max(float(own.max()) for one in scores.values() for own in runs_of(one).values())
    return min(_HIGHEST, max(2.0, 1.05 * best))
