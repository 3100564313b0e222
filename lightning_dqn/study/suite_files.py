"""The files of a suite's results, beside those of its sweep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning_dqn.reporting.tables import table_text
from lightning_dqn.study.aggregates import WAYS, Estimate
from lightning_dqn.study.profile_plot import plot_profiles
from lightning_dqn.study.suite_results import SuiteResults
from lightning_dqn.study.suite_tables import OURS, others, others_scores
from lightning_dqn.system.files import write_text

GAMES, AGGREGATES, PROFILE = "games.csv", "aggregates.csv", "profile.png"


def write_suite(found: SuiteResults, folder: Path, name: str) -> list[str]:
    """Write a suite's tables for other programs and its performance profile.

    Returns:
        What is left out and why, in a line each.
    """
    return write_suites({OURS: found}, found.played, folder, title=name)


def write_suites(
    suites: Mapping[str, SuiteResults], games: Sequence[str], folder: Path, *, title: str
) -> list[str]:
    """Write the tables of several suites and their performance profiles.

    Args:
        suites: by their labels, with the same table of scores.
        games: that all of them have runs of.
        folder: that there is.
        title: of the plot.

    Returns:
        What is left out and why, in a line each.
    """
    rows = [row for label, one in suites.items() for row in _games(label, one)]
    write_text(folder / GAMES, table_text(rows))
    [first, *_] = suites.values()
    table = first.suite.scores
    if table is None or not games:
        return []
    write_text(folder / AGGREGATES, table_text(list(_aggregates(suites, games))))
    means = {
        agent: {game: [float(table.normalized(game, own[game]))] for game in games}
        for agent, own in table.agents.items()
    }
    runs = {label: one.normalized for label, one in suites.items()}
    note = plot_profiles(runs, means, folder / PROFILE, title=f"{title}, {len(games)} games")
    return [note] if note else []


def _games(label: str, found: SuiteResults) -> Iterator[dict[str, Any]]:
    table = found.suite.scores
    for game, values in found.plain()["games"].items():
        known = zip(others(table), others_scores(table, game), strict=True)
        yield {"suite": label, "game": game, **values, **dict(known)}


def _aggregates(
    suites: Mapping[str, SuiteResults], games: Sequence[str]
) -> Iterator[dict[str, Any]]:
    for label, one in suites.items():
        for way, found in one.aggregates.items():
            yield _aggregate(label, WAYS[way], games, found)
    [first, *_] = suites.values()
    for agent, found in first.published(games).items():
        yield _aggregate(agent, WAYS["games"], games, found)


def _aggregate(
    agent: str, over: str, games: Sequence[str], found: Mapping[str, Estimate]
) -> dict[str, Any]:
    values: dict[str, Any] = {"agent": agent, "over": over, "games": len(games)}
    for key, one in found.items():
        low, high = one.interval or ("", "")
        values |= {key: one.value, f"{key}_low": low, f"{key}_high": high}
    return values
