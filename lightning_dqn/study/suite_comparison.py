"""Several finished suites in one table, with who is better by how much."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

from lightning_dqn.reporting.tables import markdown
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.study.improvement import probability_of_improvement
from lightning_dqn.study.namesakes import distinct_labels
from lightning_dqn.study.results_files import TABLE, read_finished
from lightning_dqn.study.suite_files import write_suites
from lightning_dqn.study.suite_results import SuiteResults, spread
from lightning_dqn.study.suite_tables import (
    aggregates_table,
    estimate_text,
    others,
    others_scores,
    protocol,
    score,
)
from lightning_dqn.study.sweep_results import SweepResults
from lightning_dqn.study.tables import INTERVAL
from lightning_dqn.system.files import write_text


def read_suite(folder: Path) -> SweepResults:
    """Return what the finished suite in a folder came to.

    Raises:
        ConfigError: it is none, or isn't finished.
    """
    found = read_finished(folder)
    if found.suite is None:
        raise ConfigError(f"report={folder}: holds no suite; study report={folder} tells of it")
    return found


def write_suite_comparison(found: Sequence[SweepResults], folder: Path) -> tuple[str, list[str]]:
    """Write one table of several suites over the games that all have runs of.

    Args:
        found: of :func:`read_suite`.
        folder: for tables and plot; made if need be.

    Returns:
        The tables, and what is left out and why, in a line each.

    Raises:
        ConfigError: they have no game in common, or are held against different scores; nothing
            was written.
    """
    suites = {
        label: SuiteResults.of(one.suite, one.settings)
        for label, one in zip(_labels(found), found, strict=True)
        if one.suite is not None
    }
    games = _common(suites)
    played = {label: _with(one, games) for label, one in suites.items()}
    text = suites_text(played, games)
    notes = [
        f"{label}: {', '.join(more)} left out, which not all have a finished run of"
        for label, one in suites.items()
        if (more := [game for game in one.games if game not in games])
    ]
    notes += [
        f"{label}: {failure.run_dir} failed: {failure.reason}"
        for label, one in played.items()
        for failure in one.failures
    ]
    folder.mkdir(parents=True, exist_ok=True)
    commands = [f"- {label}: `{one.command}`" for label, one in zip(suites, found, strict=True)]
    lines = [f"- {note}" for note in notes]
    write_text(folder / TABLE, "\n\n".join([text, "\n".join([*lines, *commands])]) + "\n")
    return text, [*notes, *write_suites(played, games, folder, title="suites")]


def suites_text(suites: Mapping[str, SuiteResults], games: Sequence[str]) -> str:
    """Return the tables of several suites: each game, all together, who is better, and how made.

    Args:
        suites: by their labels, with the same table of scores and runs of ``games``, and no other.
        games: that all of them have runs of.
    """
    [first, *_] = suites.values()
    table = first.suite.scores
    rows = [["game", *suites, *others(table)]]
    for game in games:
        cells = [_cell(one, game) for one in suites.values()]
        rows.append([game, *cells, *map(score, others_scores(table, game))])
    parts = [markdown(rows)]
    if table is not None:
        parts.append(aggregates_table(suites, games))
        if len(suites) > 1:
            parts.append(_improvements(suites))
    parts.append("\n".join(f"- {label}: {protocol(one.runs)}" for label, one in suites.items()))
    return "\n\n".join(parts)


def _labels(found: Sequence[SweepResults]) -> list[str]:
    """Return what sets each suite apart: its own arguments, or else its folder."""
    words = [
        [word for word in shlex.split(one.command)[3:] if not word.startswith(("games=", "seeds="))]
        for one in found
    ]
    shared = set.intersection(*map(set, words))
    own = [" ".join(word for word in some if word not in shared) for some in words]
    folders = [one.folder.resolve() for one in found]
    named = [text or folder.name for text, folder in zip(own, folders, strict=True)]
    return distinct_labels(named, folders)


def _common(suites: Mapping[str, SuiteResults]) -> list[str]:
    tables = {one.suite.table for one in suites.values()}
    if len(tables) > 1:
        names = " and ".join(sorted(map(str, tables)))
        raise ConfigError(f"report=: the suites are held against different scores, {names}")
    [first, *rest] = suites.values()
    games = [game for game in first.played if all(game in one.played for one in rest)]
    if not games:
        raise ConfigError("report=: there is no game that all suites have a finished run of")
    return games


def _with(found: SuiteResults, games: Sequence[str]) -> SuiteResults:
    suite = replace(found.suite, games=tuple(games))
    return SuiteResults(suite, {game: found.games[game] for game in games})


def _cell(found: SuiteResults, game: str) -> str:
    results = found.games[game]
    std, number = spread(results), len(results.runs)
    text = score(float(results.returns.mean()))
    return f"{text} (1 run)" if std is None else f"{text} ± {score(std)} ({number} runs)"


def _improvements(suites: Mapping[str, SuiteResults]) -> str:
    """Return how likely a run of one suite is better than one of another in the same game."""
    rows = [["X", "Y", f"P(X > Y) [{INTERVAL}]"]]
    for (x, first), (y, second) in combinations(suites.items(), 2):
        found = probability_of_improvement(first.normalized, second.normalized)
        rows.append([x, y, estimate_text(found)])
    return markdown(rows)
