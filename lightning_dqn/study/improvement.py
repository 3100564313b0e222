"""How likely one agent is better than another.

Agarwal et al. 2021 (arxiv.org/abs/2108.13264). Shapes: R runs of a game, G games, S bootstrap
samples.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lightning_dqn.study.aggregates import SAMPLES, Estimate, Scores, has_spread, runs_of


def probability_of_improvement(
    scores: Scores, others: Scores, *, samples: int = SAMPLES
) -> Estimate:
    """Return how likely a run is better than another agent's in the same game, games alike.

    1/G sum over games of the Mann-Whitney statistic: the share of pairs of runs in which the
    first has the higher score, half of it where both have the same.

    Args:
        scores: of one agent.
        others: of the other one, in the same games; R may differ.
        samples: how often both agents' runs are drawn anew for the interval.

    Raises:
        ValueError: the games differ, there are none, or one has no score, or NaN.
    """
    first, second = runs_of(scores), runs_of(others)
    if first.keys() != second.keys() or not first:
        raise ValueError(
            f"games {', '.join(first) or 'none'} and {', '.join(second) or 'none'}: "
            "expected the same"
        )
    pairs = [_improves(first[game], second[game]) for game in first]
    value = float(np.mean([one.mean() for one in pairs]))
    if not (has_spread(scores) and has_spread(others)):
        return Estimate(value, None)
    generator = np.random.default_rng(0)
    low, high = np.quantile(_redrawn(pairs, samples, generator), [0.025, 0.975])
    return Estimate(value, (float(low), float(high)))


def _improves(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1, 0.5 or 0 for each pair of runs, float64[R, R']."""
    return (np.sign(first[:, None] - second) + 1) / 2


def _redrawn(
    pairs: Sequence[NDArray[np.float64]], samples: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Return the mean over games with both sides' runs drawn anew, float64[S]."""
    total = np.zeros(samples)
    for one in pairs:
        rows, columns = (
            generator.multinomial(n, np.full(n, 1 / n), size=samples) / n for n in one.shape
        )
        total += np.einsum("sr,rc,sc->s", rows, one, columns) / len(pairs)
    return total
