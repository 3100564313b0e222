"""Settings held against each other: performance profiles and probability of improvement.

Agarwal et al. 2021 (arxiv.org/abs/2108.13264). Shapes: K thresholds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lightning_dqn.report.panels import MOST_LINES, ranked
from lightning_dqn.report.reported import Reported
from lightning_dqn.study.aggregates import WAYS, Estimate, Scores, Way, aggregates
from lightning_dqn.study.improvement import probability_of_improvement
from lightning_dqn.study.namesakes import distinct_labels
from lightning_dqn.study.profiles import Profile, performance_profile
from lightning_dqn.study.suite_results import SuiteResults

_THRESHOLDS = 101


class Improvement(NamedTuple):
    """How likely a run of one setting is better than a run of another."""

    better: str
    worse: str
    estimate: Estimate


@dataclass(frozen=True)
class Contrast:
    """Those that can be compared, at most :data:`MOST_LINES` of them.

    Attributes:
        of: what they were evaluated in.
        what: their scores are.
        profiles: by label, the best first.
        improvements: of each pair, the one of the higher interquartile mean first.
        left_out: how many more there are.
    """

    of: str
    what: str
    profiles: dict[str, Profile]
    improvements: tuple[Improvement, ...]
    left_out: int = 0


@dataclass(frozen=True)
class Aggregate:
    """What normalised scores of an agent come to over games; see ``study.aggregates``."""

    agent: str
    over: str
    games: int
    statistics: dict[str, Estimate]


def contrasts(reported: Reported) -> list[Contrast]:
    """Return a contrast for each environment of several settings, and one of several suites."""
    found = []
    for environment, settings in reported.environments.items():
        compared = [one for one in ranked(settings) if one.results.runs]
        scores = {one.label: {environment: one.results.returns} for one in compared}
        if len(scores) > 1:
            found.append(_contrast(environment, "return", scores))
    suites = _suites(reported)
    games = _games_of_all(suites)
    if len(suites) > 1 and games:
        normalized = {
            label: {game: one.normalized[game] for game in games} for label, one in suites.items()
        }
        found.append(_contrast(f"{len(games)} games", "human-normalised score", normalized))
    return found


def _contrast(of: str, what: str, scores: Mapping[str, Scores]) -> Contrast:
    shown = dict(list(scores.items())[:MOST_LINES])
    values = np.concatenate([np.ravel(own) for one in shown.values() for own in one.values()])
    low, high = float(values.min()), float(values.max())
    margin = 0.05 * (high - low) or max(1.0, 0.05 * abs(high))
    levels = np.linspace(low - margin, high + margin, _THRESHOLDS)
    return Contrast(
        of,
        what,
        {label: performance_profile(one, levels) for label, one in shown.items()},
        tuple(
            Improvement(one, other, probability_of_improvement(shown[one], shown[other]))
            for one, other in combinations(shown, 2)
        ),
        len(scores) - len(shown),
    )


def suite_aggregates(reported: Reported) -> list[Aggregate]:
    """Return what suites with a table of scores come to, and the published agents beside them.

    All are over the games that every suite has a finished run of.
    """
    suites = _suites(reported)
    games = _games_of_all(suites)
    if not games:
        return []
    found = []
    for label, one in suites.items():
        scores = {game: one.normalized[game] for game in games}
        for way in WAYS:
            found.append(Aggregate(label, WAYS[way], len(games), aggregates(scores, way)))
    [first, *_] = suites.values()
    way_of_others: Way = "games"
    for agent, statistics in first.published(games).items():
        found.append(Aggregate(agent, WAYS[way_of_others], len(games), statistics))
    return found


def _suites(reported: Reported) -> dict[str, SuiteResults]:
    """Return the suites that have the first one's table of scores, by labels of their own."""
    found = [
        (source, source.suite)
        for source in reported.sources
        if source.suite is not None and source.suite.table is not None
    ]
    alike = [(source, suite) for source, suite in found if suite.table == found[0][1].table]
    names = [source.name for source, _ in alike]
    labels = distinct_labels(names, [source.folder or Path() for source, _ in alike])
    return {
        label: SuiteResults.of(suite, [one.results for one in source.settings])
        for label, (source, suite) in zip(labels, alike, strict=True)
    }


def _games_of_all(suites: dict[str, SuiteResults]) -> list[str]:
    played = [one.played for one in suites.values()]
    return [game for game in played[0] if all(game in own for own in played)] if played else []
