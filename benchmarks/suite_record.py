"""Keep what a suite's finished runs came to in two small files, and tell which games are left.

    python benchmarks/suite_record.py runs/atari100k/2026-11-27 docs/atari100k/der
    python benchmarks/suite_record.py docs/atari100k/der           # what is there

A suite of all games takes days, its folder gigabytes. Runs of several folders come together in
`der.csv`, a row for each, and `der_curves.csv`, the mean return of the training episodes that ended
in every 5,000 env steps; one that is there already is replaced. They are counted in the replay ring
of the last checkpoint, for what metrics tell is a mean over the newest 100: in long games, over all
of the run. The games that no run is of are printed as `games=...`, for the next call of
`python -m lightning_dqn suite`.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from text_table import format_table
from torch import Tensor

from lightning_dqn.replay.archive import FOLDER
from lightning_dqn.replay.segments import load
from lightning_dqn.safekeeping.reading import read_checkpoint
from lightning_dqn.study.atari_scores import atari_100k
from lightning_dqn.transitions import NO_ACTION

KEY = "environment.game"
SPAN = 5_000
"""Env steps of one point of a curve."""

FACTS = ("episode_return", "episode_return_std", "episodes", "episodes_cut", "env_steps", "updates")
RULES = ("epsilon", "max_episode_steps")
RUN_COLUMNS = ("game", "seed", *FACTS, *RULES, "minutes", "commit", "torch")
CURVE_COLUMNS = ("game", "seed", "env_steps", "episode_return")
Row = Mapping[str, Any]


def runs(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the finished runs of a suite, each with its summary."""
    for path in sorted(folder.glob("*/summary.json")):
        summary = json.loads(path.read_text())
        if summary.get("tested_env_steps") == summary["env_steps"]:
            yield path.parent, summary


def game_of(summary: Mapping[str, Any]) -> str:
    """Return the game of a run."""
    named = (one.partition("=") for one in summary["overrides"])
    return next(value for key, _, value in named if key == KEY)


def row_of(summary: Mapping[str, Any]) -> Row:
    """Return a run's row, as the file has it."""
    return {
        "game": game_of(summary),
        "seed": str(summary["seed"]),
        **{name: str(summary[name]) for name in FACTS},
        **{name: str(summary["evaluation"][name]) for name in RULES},
        "minutes": f"{summary['seconds'] / 60:.1f}",
        "commit": summary["commit"],
        "torch": summary["versions"]["torch"],
    }


class Episodes:
    """Takes the rows that a run stored, as a ring of one environment and of any length."""

    num_times = 1 << 62

    def __init__(self) -> None:
        """Begin without a row."""
        self._columns: list[Mapping[str, Tensor]] = []

    def write_times(self, first: int, columns: Mapping[str, Tensor]) -> None:
        """Take the rows of some times, each after the others."""
        names = ("action", "reward", "terminated", "truncated")
        self._columns.append({name: columns[name][:, 0] for name in names})

    def counted(self) -> tuple[np.ndarray, np.ndarray]:
        """Return after which env step each episode ended, int64[N], and its return, float64[N].

        One that nothing but a restart of the run ended isn't counted.
        """
        action, reward, terminated, truncated = (
            torch.cat([one[name] for one in self._columns]) for name in self._columns[0]
        )
        # A row without an action, which is no env step, follows the last of each episode.
        finals = (action == NO_ACTION).nonzero()[:, 0]
        env_steps = finals - torch.arange(len(finals))
        returns = reward.double().cumsum(0)[finals].diff(prepend=torch.zeros(1).double())
        ended = (terminated | truncated)[finals - 1]
        return env_steps[ended].numpy(), returns[ended].numpy()


def curve_of(folder: Path, summary: Mapping[str, Any]) -> Iterator[Row]:
    """Yield the points of a run's curve.

    Raises:
        ValueError: the rows of its replay ring aren't all there.
    """
    checkpoints = folder / "checkpoints"
    state = read_checkpoint(checkpoints / "last.ckpt")["ReplayDataModule"]["replay"]
    if state["segments"][0]["first_time"] > 0:
        raise ValueError(f"{folder}: its replay ring is shorter than the run")
    episodes = Episodes()
    load(checkpoints / FOLDER, state["segments"], episodes)
    env_steps, returns = episodes.counted()
    spans = (env_steps - 1) // SPAN
    for span in np.unique(spans):
        yield {
            "game": game_of(summary),
            "seed": str(summary["seed"]),
            "env_steps": (span + 1) * SPAN,
            "episode_return": f"{returns[spans == span].mean():.4g}",
        }


def read(path: Path) -> list[Row]:
    """Return the rows of a file; none, where there is no file yet."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def merge(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> list[Row]:
    """Write rows into a file, in place of those of the same runs, and return all it has now."""
    new = {(row["game"], row["seed"]) for row in rows}
    old = [row for row in read(path) if (row["game"], row["seed"]) not in new]
    together = sorted([*old, *rows], key=lambda row: (row["game"], int(row["seed"])))
    if rows:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(together)
    return together


def table(rows: Sequence[Row]) -> str:
    """Return what was recorded, beside chance and people."""
    scores = atari_100k()
    lines = [("game", "seed", "return", "human-normalised", "minutes")]
    for row in rows:
        value = float(row["episode_return"])
        share = f"{float(scores.normalized(row['game'], value)):.3f}"
        lines.append((row["game"], str(row["seed"]), f"{value:.1f}", share, row["minutes"]))
    return format_table(lines)


def main() -> None:
    """Record, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path, help="of a suite; none: only tell")
    parser.add_argument("record", type=Path, help="the files' name without its end")
    options = parser.parse_args()
    path = options.record.with_name(f"{options.record.name}.csv")
    recorded = read(path)
    found = list(runs(options.folder)) if options.folder else []
    new = [(folder, summary) for folder, summary in found if row_of(summary) not in recorded]
    curves = [point for folder, summary in new for point in curve_of(folder, summary)]
    merge(path.with_name(f"{path.stem}_curves.csv"), CURVE_COLUMNS, curves)
    rows = merge(path, RUN_COLUMNS, [row_of(summary) for _, summary in new])
    print(table(rows))
    done = {row["game"] for row in rows}
    left = [game for game in atari_100k().games if game not in done]
    print(f"games={','.join(left)}" if left else "a run of every game is there")


if __name__ == "__main__":
    main()
