"""Draw how a suite's runs learned, all games in one picture, from what suite_record.py keeps.

    python benchmarks/suite_curves.py docs/atari100k/curves.svg docs/atari100k/der [more records]

A panel for each game, a line for each run: the mean return of training episodes in every 5,000 env
steps. Dotted is chance, dashed what DER's authors have after all of them.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from lightning_dqn.study.atari_scores import atari_100k

COLUMNS = 6
Curves = dict[str, dict[str, list[tuple[float, float]]]]
"""Game -> seed -> points of env steps and return."""


def curves(record: Path) -> Curves:
    """Return the curves of a record's runs."""
    found: Curves = defaultdict(lambda: defaultdict(list))
    with record.with_name(f"{record.name}_curves.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            point = float(row["env_steps"]), float(row["episode_return"])
            found[row["game"]][row["seed"]].append(point)
    return found


def draw(records: dict[str, Curves]) -> Figure:
    """Return the picture of several records by their labels."""
    scores = atari_100k()
    games = [game for game in scores.games if any(game in own for own in records.values())]
    lines = -(-len(games) // COLUMNS)
    figure = Figure(figsize=(2.1 * COLUMNS, 1.7 * lines + 0.4), layout="constrained")
    panels = [*figure.subplots(lines, COLUMNS, squeeze=False).flat]
    handles: dict[str, Any] = {}
    for game, axes in zip(games, panels, strict=False):
        axes.set_title(game, fontsize=9)
        published = scores.agents["DER"][game]
        levels = {"chance": (scores.random[game], ":"), "DER, published": (published, "--")}
        for label, (level, style) in levels.items():
            handles[label] = axes.axhline(level, color="0.5", linewidth=1, linestyle=style)
        for number, (label, own) in enumerate(records.items()):
            for points in own.get(game, {}).values():
                steps, returns = zip(*points, strict=True)
                [handles[label]] = axes.plot([n / 1000 for n in steps], returns, color=f"C{number}")
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels[len(games) :]:
        axes.set_axis_off()
    figure.supxlabel("thousand env steps", fontsize=9)
    figure.supylabel("training return", fontsize=9)
    figure.legend(
        [*handles.values()], [*handles], loc="outside upper right", ncols=len(handles), fontsize=8
    )
    return figure


def main() -> None:
    """Draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("picture", type=Path)
    parser.add_argument("records", type=Path, nargs="+", help="files' names without their ends")
    options = parser.parse_args()
    found = {f"atari/{record.name}, here": curves(record) for record in options.records}
    draw(found).savefig(options.picture, metadata={"Date": None})


if __name__ == "__main__":
    main()
