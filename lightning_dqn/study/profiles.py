"""How runs are spread over scores: the share of them above each.

Agarwal et al. 2021 (arxiv.org/abs/2108.13264). Shapes: R runs of a game, G games, S bootstrap
samples, K thresholds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lightning_dqn.study.aggregates import SAMPLES, Scores, has_spread, runs_of


class Profile(NamedTuple):
    """A performance profile: the share of runs above each threshold, games counting alike.

    float64[K] each; ``low`` and ``high`` are the 95 % interval at each threshold, None where a
    game has a single run.
    """

    thresholds: NDArray[np.float64]
    share: NDArray[np.float64]
    low: NDArray[np.float64] | None
    high: NDArray[np.float64] | None


def performance_profile(
    scores: Scores, thresholds: ArrayLike, *, samples: int = SAMPLES
) -> Profile:
    """Return 1/G sum over games of 1/R sum over runs of [score > threshold].

    Args:
        scores: of at least one game.
        thresholds: float[K].
        samples: how often each game's runs are drawn anew for the interval.

    Raises:
        ValueError: a game has no score, or NaN.
    """
    levels = np.asarray(thresholds, np.float64)
    runs = list(runs_of(scores).values())
    share = np.mean([(own[:, None] > levels).mean(axis=0) for own in runs], axis=0)
    if not has_spread(scores):
        return Profile(levels, share, None, None)
    generator = np.random.default_rng(0)
    drawn = np.zeros((samples, len(levels)))
    for own in runs:
        above = own[:, None] > levels  # [R, K]
        counts = generator.multinomial(len(own), np.full(len(own), 1 / len(own)), size=samples)
        drawn += counts @ above / len(own) / len(runs)
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    return Profile(levels, share, low, high)
