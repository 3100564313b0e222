"""What a suite came to: the results of each game, and what they come to together."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_dqn.study.aggregates import WAYS, Estimate, Way, aggregates
from lightning_dqn.study.results import Failure, Results, Run
from lightning_dqn.study.suite import Suite


@dataclass(frozen=True)
class SuiteResults:
    """What a suite came to.

    Attributes:
        suite: with the games that were asked for.
        games: what each came to over its seeds, in the suite's order.
    """

    suite: Suite
    games: dict[str, Results]

    @classmethod
    def of(cls, suite: Suite, settings: Sequence[Results]) -> SuiteResults:
        """Return what the settings of a suite's sweep came to."""
        found = {suite.game_of(one.overrides): one for one in settings}
        return cls(suite, {game: found[game] for game in suite.games if game in found})

    @property
    def played(self) -> list[str]:
        """The games with a finished run."""
        return [game for game, one in self.games.items() if one.runs]

    @property
    def runs(self) -> list[Run]:
        """All finished runs."""
        return [run for one in self.games.values() for run in one.runs]

    @property
    def failures(self) -> list[Failure]:
        """All runs that didn't finish."""
        return [run for one in self.games.values() for run in one.failures]

    @functools.cached_property
    def normalized(self) -> dict[str, NDArray[np.float64]]:
        """Human-normalised score of each run by game, for those with a finished one, float64[R].

        Empty where the suite has no table of scores.
        """
        table = self.suite.scores
        if table is None:
            return {}
        return {game: table.normalized(game, self.games[game].returns) for game in self.played}

    @functools.cached_property
    def aggregates(self) -> dict[Way, dict[str, Estimate]]:
        """The statistics over normalised scores in both ways; empty where there are none."""
        scores = self.normalized
        return {way: aggregates(scores, way) for way in WAYS} if scores else {}

    def published(self, games: Sequence[str]) -> dict[str, dict[str, Estimate]]:
        """Return the statistics of published agents by name, over their mean scores of games.

        Args:
            games: of the suite's table; with none, or without a table, there is nothing.
        """
        table = self.suite.scores
        if table is None or not games:
            return {}
        return {
            agent: aggregates({g: [float(table.normalized(g, own[g]))] for g in games}, "games")
            for agent, own in table.agents.items()
        }

    def plain(self) -> dict[str, Any]:
        """Return what programs read, beside each game's results."""
        return {
            "games": {game: self._plain_game(game) for game in self.games},
            "games_played": len(self.played),
            "runs": len(self.runs),
            "failed": len(self.failures),
            "aggregates": {
                WAYS[way]: {key: one._asdict() for key, one in found.items()}
                for way, found in self.aggregates.items()
            },
            "published": {
                agent: {WAYS["games"]: {key: one.value for key, one in found.items()}}
                for agent, found in self.published(self.played).items()
            },
        }

    def _plain_game(self, game: str) -> dict[str, Any]:
        one, scores = self.games[game], self.normalized.get(game)
        return {
            "runs": len(one.runs),
            "failed": len(one.failures),
            "score": float(one.returns.mean()) if one.runs else None,
            "std": spread(one),
            "normalized": None if scores is None else float(scores.mean()),
            "episodes": sum(run.episodes for run in one.runs),
            "episodes_cut": cut_episodes(one.runs),
        }


def spread(results: Results) -> float | None:
    """Return the standard deviation of a score over runs; None of a single one."""
    return float(results.returns.std(ddof=1)) if len(results.runs) > 1 else None


def cut_episodes(runs: Sequence[Run]) -> int | None:
    """Return how many test episodes of runs were cut; None where a run doesn't say."""
    cut = [run.episodes_cut for run in runs]
    return None if None in cut else sum(one for one in cut if one is not None)
