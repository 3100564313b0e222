"""Whether values come true: predicted values against the returns that followed.

Shapes: T time, E environments, M states.
"""

from __future__ import annotations

import numpy as np


def discounted_returns(
    reward: np.ndarray, gamma: float, is_last: np.ndarray, beyond: np.ndarray
) -> np.ndarray:
    """Return what followed each step: G_t = r_t + gamma * G_{t+1} within an episode.

    The Monte-Carlo return, eq. 3.8 of Sutton & Barto 2018. A negative gamma is a zero-sum game in
    which the opponent moves next: their return counts against the one who moves.

    Args:
        reward: float[T, E].
        gamma: discount of one env step.
        is_last: bool[T, E], the step ended its episode, whichever way.
        beyond: float[T, E], what is to come after such a step: 0 after termination, the value of
            the observation where it was truncated, NaN where that isn't known.

    Returns:
        float64[T, E], NaN where it isn't known, as of episodes without an end.
    """
    returns = np.where(is_last, reward + gamma * beyond, reward).astype(np.float64)
    discount, goes_on = np.where(is_last, 0.0, gamma), ~is_last
    span = 1
    while span < len(reward):  # each step knows `span` steps by now, and learns of as many more
        early, late = slice(None, -span), slice(span, None)
        returns[early] += np.where(goes_on[early], discount[early] * returns[late], 0.0)
        discount[early] *= discount[late]
        goes_on[early] &= goes_on[late]
        span *= 2
    returns[goes_on] = np.nan
    return returns


def overestimation(q_value: np.ndarray, discounted_return: np.ndarray) -> dict[str, float]:
    """Return how far predicted values lie above what came, mean over states.

    As figs. 2 and 3 of van Hasselt et al. 2016 (arxiv.org/abs/1509.06461) compare them. Healthy:
    ``overestimation`` near 0; above it the targets' maximum picks errors, far below nothing is
    expected yet.

    Args:
        q_value: float[M], of the action that was taken.
        discounted_return: float[M]; states of which it is NaN don't count.

    Returns:
        ``overestimation``, and the two means of which it is the difference; empty where no state
        counts.
    """
    known = np.isfinite(discounted_return)
    if not known.any():
        return {}
    predicted, came = float(q_value[known].mean()), float(discounted_return[known].mean())
    return {
        "overestimation": predicted - came,
        "predicted_return": predicted,
        "discounted_return": came,
    }
