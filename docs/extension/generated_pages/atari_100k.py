"""What Atari 100k came to, from the rows that `benchmarks/suite_record.py` keeps of its runs."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from lightning_dqn.reporting.statistics import interquartile_mean
from lightning_dqn.reporting.tables import markdown
from lightning_dqn.study.atari_scores import atari_100k as published
from lightning_dqn.study.improvement import probability_of_improvement
from lightning_dqn.study.results import Results, Run
from lightning_dqn.study.suite import Suite
from lightning_dqn.study.suite_comparison import suites_text
from lightning_dqn.study.suite_file import find_suite
from lightning_dqn.study.suite_results import SuiteResults
from lightning_dqn.study.suite_tables import estimate_text, score
from lightning_dqn.study.tables import INTERVAL

RECORDS = Path(__file__).resolve().parents[2] / "atari100k"
Row = Mapping[str, str]

DRAWS = 10_000
"""Of runs elsewhere, as many of each game as there are here."""


def atari_100k(names: str) -> str:
    """Return the tables of settings over the games that all have runs of, and how they were made.

    Args:
        names: of presets with a record, as ``der`` or ``der/rainbow``.

    Raises:
        ValueError: there is no such record.
    """
    rows = {f"atari/{name}": _rows(RECORDS / f"{name}.csv") for name in names.split("/")}
    suite = _common(rows)
    suites = {f"{label}, here": _results(own, suite) for label, own in rows.items()}
    told = [_told(label, own) for label, own in rows.items()]
    return "\n".join([suites_text(suites, suite.games), *told])


def atari_ablation(names: str) -> str:
    """Return a table of a setting and of others that differ in a part, over what all have run.

    Args:
        names: of records in ``ablation_50k``, the whole setting first, as ``whole/no_shifts``.

    Raises:
        ValueError: there is no such record.
    """
    all_rows = {name: _rows(RECORDS / "ablation_50k" / f"{name}.csv") for name in names.split("/")}
    common = set.intersection(*({_game_and_seed(row) for row in own} for own in all_rows.values()))
    rows = {
        name: [row for row in own if _game_and_seed(row) in common]
        for name, own in all_rows.items()
    }
    suite = _common(rows)
    [whole, *_] = found = [_results(own, suite) for own in rows.values()]
    table = [["", *suite.games, "runs", f"IQM [{INTERVAL}]", f"P(whole is better) [{INTERVAL}]"]]
    for name, one in zip(rows, found, strict=True):
        returns = (one.games[game].returns for game in suite.games)
        cells = [score(float(own.mean())) for own in returns]
        cells += [str(len(one.runs)), estimate_text(one.aggregates["runs"]["iqm"], 2)]
        better = probability_of_improvement(whole.normalized, one.normalized)
        cells.append("" if one is whole else estimate_text(better, 2))
        table.append([name.replace("_", " "), *cells])
    made = _made([row for own in rows.values() for row in own])
    return f"{markdown(table)}\n\n- {made}"


def atari_elsewhere(names: str) -> str:
    """Return a table of a setting's returns beside those of runs elsewhere, and what chance makes.

    That is the interquartile mean of as many runs as there are here, drawn from those elsewhere.

    Args:
        names: of the record here and of that of runs elsewhere, as ``der/der_elsewhere``.

    Raises:
        ValueError: there is no such record.
    """
    here, elsewhere = (_returns(RECORDS / f"{name}.csv") for name in names.split("/"))
    games = [game for game in published().games if game in here and game in elsewhere]
    table = [["", "here", "elsewhere", "of them lower"]]
    for game in games:
        mean, others = here[game].mean(), np.sort(elsewhere[game])
        lower = f"{(others < mean).sum()} of {len(others)}"
        table.append([game, score(float(mean)), ", ".join(map(score, others)), lower])
    generator = np.random.default_rng(0)
    drawn = [
        published().normalized(game, generator.choice(elsewhere[game], (DRAWS, len(here[game]))))
        for game in games
    ]
    chance = interquartile_mean(np.concatenate(drawn, axis=1), axis=1)
    low, middle, high = np.quantile(chance, (0.025, 0.5, 0.975))
    own = np.concatenate([published().normalized(game, here[game]) for game in games])
    return (
        f"{markdown(table)}\n\n- IQM of the runs here: {interquartile_mean(own):.3f}; of as many "
        f"drawn from those elsewhere: {middle:.3f}, in 95 % of {DRAWS:,} draws {low:.3f} to "
        f"{high:.3f}"
    )


def _returns(path: Path) -> dict[str, np.ndarray]:
    """Return the returns of a record's runs by game."""
    return {
        game: np.array([float(row["episode_return"]) for row in rows])
        for game, rows in _by_game(_rows(path)).items()
    }


def _by_game(rows: Sequence[Row]) -> dict[str, list[Row]]:
    found = defaultdict(list)
    for row in rows:
        found[row["game"]].append(row)
    return found


def _game_and_seed(row: Row) -> tuple[str, str]:
    return row["game"], row["seed"]


def _common(records: Mapping[str, Sequence[Row]]) -> Suite:
    """Return the suite of the games that all records have runs of."""
    played = [{row["game"] for row in own} for own in records.values()]
    whole = find_suite("atari100k")
    return whole.choose(",".join(game for game in whole.games if all(game in p for p in played)))


def _rows(path: Path) -> list[Row]:
    if not path.is_file():
        raise ValueError(f"docs/atari100k has no {path.name}; mend the page that names it")
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _results(rows: Sequence[Row], suite: Suite) -> SuiteResults:
    by_game = _by_game(rows)
    games = {
        game: Results(game, RECORDS, "", (suite.override([game]),), tuple(map(_run, by_game[game])))
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
        evaluation={
            "epsilon": float(row["epsilon"]),
            "max_episode_steps": int(row["max_episode_steps"]),
        },
    )


def _told(label: str, rows: Sequence[Row]) -> str:
    games = len(find_suite("atari100k").games)
    return f"- {label}: {len({row['game'] for row in rows})} of {games} games, {_made(rows)}"


def _made(rows: Sequence[Row]) -> str:
    minutes = sorted({round(float(row["minutes"])) for row in rows})
    length = " to ".join(str(one) for one in dict.fromkeys((minutes[0], minutes[-1])))
    number = "1 run" if len(rows) == 1 else f"{len(rows)} runs"
    learning = f"{number} of {length} minutes of learning on one core"
    versions = ", ".join(sorted({row["torch"] for row in rows}))
    commits = ", ".join(f"`{one}`" for one in sorted({row["commit"][:7] for row in rows}))
    return f"{learning}, commit {commits}, torch {versions}"
