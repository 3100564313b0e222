"""What several runs come to: the interquartile mean, and how far to trust it.

Agarwal et al. 2021, https://arxiv.org/abs/2108.13264. Shapes: R runs, T tasks, N scores in all,
S bootstrap samples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

Scores = ArrayLike | Mapping[str, ArrayLike]
"""float[R, T], float[R] of a single task, or the runs' scores by task, each of its own length."""


class Statistic(Protocol):
    """What can be estimated: anything called as ``np.mean`` and ``np.median`` are."""

    def __call__(self, scores: NDArray[np.float64], *, axis: int) -> NDArray[np.float64]:
        """Reduce ``axis``, which holds the scores of all runs of all tasks."""


def interquartile_mean(scores: ArrayLike, axis: int | None = None) -> Any:
    """Return the mean of the middle half: the lowest and the highest quarter are left out.

    A quarter is ⌊n / 4⌋ of n scores, so up to three scores give their plain mean.

    Args:
        scores: of any shape.
        axis: the one to reduce; None: all, as over all runs and tasks.

    Returns:
        A float64, or an array of them where ``axis`` leaves other axes.

    Raises:
        ValueError: there is no score, or one is NaN.
    """
    values = np.asarray(scores, dtype=np.float64)
    values = values.ravel() if axis is None else np.moveaxis(values, axis, -1)
    check_scores(values, "scores")
    cut = values.shape[-1] // 4
    return np.sort(values, axis=-1)[..., cut : values.shape[-1] - cut].mean(axis=-1)


def stratified_bootstrap_interval(
    scores: Scores,
    statistic: Statistic = interquartile_mean,
    *,
    samples: int = 2_000,
    confidence: float = 0.95,
    generator: np.random.Generator | None = None,
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of a statistic.

    Each task's runs are drawn with replacement among themselves, so that tasks of different
    levels don't widen the interval. With few runs it is too narrow: what they have not shown is
    not in it, and a single run has an interval of width 0.

    Args:
        scores: of all runs and tasks, see ``Scores``.
        statistic: of all scores together, called with ``axis``.
        samples: how often the runs are drawn anew.
        confidence: the share of the samples inside.
        generator: draws the samples; None: one of seed 0, so that the same scores always have
            the same interval.

    Returns:
        The lower and the upper end.

    Raises:
        ValueError: an argument is out of range, a task has no score, or one is NaN.
    """
    if samples < 1:
        raise ValueError(f"samples={samples}: at least 1")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence}: expected a share between 0 and 1")
    generator = np.random.default_rng(0) if generator is None else generator
    drawn = [_resample(task, samples, generator) for task in _tasks(scores)]
    estimates = statistic(np.concatenate(drawn, axis=1), axis=-1)
    outside = (1 - confidence) / 2
    low, high = np.quantile(estimates, [outside, 1 - outside])
    return float(low), float(high)


def wilson_interval(
    successes: int, trials: int, *, confidence: float = 0.95
) -> tuple[float, float]:
    """Return between which shares a probability may lie, by how often something happened.

    Wilson 1927 (doi.org/10.1080/01621459.1927.10502953), with z the normal quantile, n trials
    and p the share found: (p + z²/2n ± z·sqrt(p(1 - p)/n + z²/4n²)) / (1 + z²/n).

    Args:
        successes: how often it happened.
        trials: out of so many independent tries.
        confidence: the share of such intervals that hold the truth, about.

    Returns:
        The lower and the upper end.

    Raises:
        ValueError: an argument is out of range.
    """
    if not 0 <= successes <= trials or trials < 1:
        raise ValueError(f"successes={successes} of trials={trials}: at least 1 trial, and no more")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence}: expected a share between 0 and 1")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, per_trial = successes / trials, z**2 / trials
    middle = (share + per_trial / 2) / (1 + per_trial)
    spread = math.sqrt(share * (1 - share) / trials + per_trial / (4 * trials))
    width = z * spread / (1 + per_trial)
    low = middle - width if successes else 0.0  # which rounding would miss
    return low, middle + width if successes < trials else 1.0


def sign_test(successes: int, trials: int) -> float:
    """Return how likely at least so many successes are if each trial is a coin's toss.

    The p-value of the one-sided sign test: sum of C(n, k) / 2^n over k from ``successes`` to n.

    Args:
        successes: how often it went well.
        trials: n, how often it went well or badly; what did neither isn't counted. With none the
            answer is 1.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"successes={successes} of trials={trials}: not more than there are")
    tail = sum(math.comb(trials, count) for count in range(successes, trials + 1))
    return tail / 2**trials


def _resample(
    scores: NDArray[np.float64], samples: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Return ``samples`` draws of a task's R scores with replacement, float64[S, R]."""
    return scores[generator.integers(len(scores), size=(samples, len(scores)))]


def _tasks(scores: Scores) -> list[NDArray[np.float64]]:
    """Return the scores of each task, float64[R] with an R of its own."""
    if isinstance(scores, Mapping):
        tasks = {name: np.asarray(own, dtype=np.float64) for name, own in scores.items()}
    else:
        values = np.asarray(scores, dtype=np.float64)
        if values.ndim not in (1, 2):
            raise ValueError(f"scores of shape {values.shape}: expected [runs] or [runs, tasks]")
        columns = values.reshape(len(values), -1).T if values.size else values.reshape(1, 0)
        tasks = {f"scores[:, {number}]": column for number, column in enumerate(columns)}
    if not tasks:
        raise ValueError("scores={}: expected at least one task")
    for name, task in tasks.items():
        if task.ndim != 1:
            raise ValueError(f"{name} of shape {task.shape}: expected [runs]")
        check_scores(task, name)
    return list(tasks.values())


def check_scores(scores: NDArray[np.float64], name: str) -> None:
    """Refuse scores of which no statistic tells anything.

    Raises:
        ValueError: there is no score, or one is NaN.
    """
    if scores.ndim == 0 or scores.shape[-1] == 0:
        raise ValueError(f"{name} of shape {scores.shape}: expected at least one score")
    if np.isnan(scores).any():
        raise ValueError(f"{name}: a score is NaN, which no average may hide")


def best_median_worst(values: Sequence[float]) -> dict[str, int]:
    """Return where the ``best``, the ``median`` and the ``worst`` of values stand, none twice.

    Of an even number the median is the lower of the middle two; of equal values the earlier one
    counts as worse. Of two there is no median, and one alone is the ``only`` one.

    Args:
        values: at least one, the higher the better.
    """
    ranked = sorted(range(len(values)), key=lambda place: values[place])
    if len(ranked) == 1:
        return {"only": 0}
    middle = {"median": ranked[(len(ranked) - 1) // 2]} if len(ranked) > 2 else {}
    return {"best": ranked[-1], **middle, "worst": ranked[0]}
