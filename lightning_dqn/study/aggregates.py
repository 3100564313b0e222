"""What normalised scores of several runs of several games come to, and how far to trust it.

Agarwal et al. 2021 (arxiv.org/abs/2108.13264). Scores go in two ways into one number, which differ
much: as those of all runs of all games, or as the mean of each game. Shapes: R runs of a game, G
games, N scores in all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lightning_dqn.reporting.statistics import (
    Statistic,
    check_scores,
    interquartile_mean,
    stratified_bootstrap_interval,
)

Scores = Mapping[str, ArrayLike]
"""By game the scores of its runs, float[R] with an R of its own."""

Way = Literal["runs", "games"]
WAYS: dict[Way, str] = {"runs": "all runs", "games": "per-game means"}
"""What the numbers are over -> how it is called."""

SAMPLES = 2_000


class Estimate(NamedTuple):
    """A statistic and its 95 % bootstrap interval; None where a game has a single run."""

    value: float
    interval: tuple[float, float] | None


def median(scores: ArrayLike, *, axis: int | None = None) -> NDArray[np.float64]:
    """Return the median; see :func:`optimality_gap`."""
    return np.asarray(np.median(np.asarray(scores, np.float64), axis=axis))


def mean(scores: ArrayLike, *, axis: int | None = None) -> NDArray[np.float64]:
    """Return the mean; see :func:`optimality_gap`."""
    return np.asarray(np.mean(np.asarray(scores, np.float64), axis=axis))


def optimality_gap(scores: ArrayLike, *, axis: int | None = None) -> NDArray[np.float64]:
    """Return how much is missing to 1, a person's score: 1 - mean(min(score, 1)).

    Args:
        scores: normalised.
        axis: the one to reduce; None: all.
    """
    return np.asarray(1.0 - np.minimum(np.asarray(scores, np.float64), 1.0).mean(axis=axis))


STATISTICS: dict[str, Statistic] = {
    "iqm": interquartile_mean,
    "median": median,
    "mean": mean,
    "optimality_gap": optimality_gap,
}
"""Key -> statistic of scores, which reduces one axis."""


def aggregates(scores: Scores, way: Way, *, samples: int = SAMPLES) -> dict[str, Estimate]:
    """Return every one of :data:`STATISTICS` with its interval.

    The interval is that of the stratified bootstrap: each game's runs are drawn with replacement
    among themselves, for both ways.

    Args:
        scores: of at least one game.
        way: ``"runs"``: over the N scores of all runs; ``"games"``: over the G means of games.
        samples: how often runs are drawn anew.

    Raises:
        ValueError: there is no game, or one has no score, or NaN.
    """
    return {
        name: estimate(scores, statistic, way, samples=samples)
        for name, statistic in STATISTICS.items()
    }


def estimate(scores: Scores, statistic: Statistic, way: Way, *, samples: int = SAMPLES) -> Estimate:
    """Return one statistic with its interval; see :func:`aggregates`."""
    chosen = statistic if way == "runs" else _of_means(statistic, scores)
    interval = stratified_bootstrap_interval(scores, chosen, samples=samples)
    value = chosen(np.concatenate(list(runs_of(scores).values())), axis=-1)
    return Estimate(float(value), interval if has_spread(scores) else None)


def has_spread(scores: Scores) -> bool:
    """Return whether every game has several runs, without which no interval says anything."""
    return all(len(own) > 1 for own in runs_of(scores).values())


def _of_means(statistic: Statistic, scores: Scores) -> Statistic:
    """Return a statistic of all scores, game after game, that is one of the games' means."""
    ends = np.cumsum([len(own) for own in runs_of(scores).values()])[:-1]

    def of_means(scores: NDArray[np.float64], *, axis: int) -> NDArray[np.float64]:
        means = [own.mean(axis=axis) for own in np.split(scores, ends, axis=axis)]
        return statistic(np.stack(means, axis=-1), axis=-1)

    return of_means


def runs_of(scores: Scores) -> dict[str, NDArray[np.float64]]:
    """Return the scores of each game, float64[R].

    Raises:
        ValueError: a game has no score, or NaN.
    """
    found = {game: np.asarray(own, np.float64) for game, own in scores.items()}
    for game, own in found.items():
        check_scores(own, game)
    return found
