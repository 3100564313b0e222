"""What Atari 100k came to, from the rows that `benchmarks/suite_record.py` keeps of its runs."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from lightning_dqn.study.results import Results, Run
from lightning_dqn.study.suite import Suite
from lightning_dqn.study.suite_comparison import suites_text
from lightning_dqn.study.suite_file import find_suite
from lightning_dqn.study.suite_results import SuiteResults

RECORDS = Path(__file__).resolve().parents[2] / "atari100k"
Row = Mapping[str, str]


def atari_100k(names: str) -> str:
    """Return the tables of settings over the games that all have runs of, and how they were made.

    Args:
        names: of presets with a record, as ``der`` or ``der/rainbow``.

    Raises:
        ValueError: there is no such record.
    """
    rows = {name: _rows(name) for name in names.split("/")}
    played = [{row["game"] for row in own} for own in rows.values()]
    whole = find_suite("atari100k")
    games = [game for game in whole.games if all(game in own for own in played)]
    suite = whole.choose(",".join(games))
    suites = {f"atari/{name}, here": _results(own, suite) for name, own in rows.items()}
    told = [_told(name, own, len(whole.games)) for name, own in rows.items()]
    return "\n".join([suites_text(suites, games), *told])


def _rows(name: str) -> list[Row]:
    path = RECORDS / f"{name}.csv"
    if not path.is_file():
        raise ValueError(f"docs/atari100k has no {path.name}; mend the page that names it")
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _results(rows: Sequence[Row], suite: Suite) -> SuiteResults:
    runs = defaultdict(list)
    for row in rows:
        runs[row["game"]].append(_run(row))
    games = {
        game: Results(game, RECORDS, "", (suite.override([game]),), tuple(runs[game]))
        for game in suite.games
    }
    return SuiteResults(suite, games)


def _run(row: Row) -> Run:
    return Run(
        seed=int(row["seed"]),
        episode_return=float(row["episode_return"]),
        episode_return_std=float(row["episode_return_std"]),
        episodes=int(row["episodes"]),
        env_steps=int(row["env_steps"]),
        updates=int(row["updates"]),
        wall_seconds=60 * float(row["minutes"]),
        run_dir=row["game"],
        commit=row["commit"],
        versions={"torch": row["torch"]},
        hardware={},
        episodes_cut=int(row["episodes_cut"]),
    )


def _told(name: str, rows: Sequence[Row], num_games: int) -> str:
    minutes = sorted(float(row["minutes"]) for row in rows)
    versions = ", ".join(sorted({row["torch"] for row in rows}))
    commits = ", ".join(f"`{one}`" for one in sorted({row["commit"][:7] for row in rows}))
    return (
        f"- atari/{name}: {len({row['game'] for row in rows})} of {num_games} games, "
        f"{len(rows)} runs of {minutes[0]:.0f} to {minutes[-1]:.0f} minutes on one core, "
        f"commit {commits}, torch {versions}"
    )
