"""Rules about returns: what exploration found, and whether learning leads anywhere."""

from __future__ import annotations

import math
from statistics import fmean

from lightning_dqn.diagnostics.doctor.history import History
from lightning_dqn.diagnostics.doctor.rule import Facts, Rule

EPSILON = "rollout/epsilon"
TRAINING, EVALUATION = "rollout/episode_return", "eval/episode_return"
SPREAD, EPISODES = "eval/episode_return_std", "eval/episodes"
LOSS, UPDATES = "train/loss", "train/updates"

ROWS_AFTER = 8
LEAST_EVALUATIONS = 8
LEAST_UPDATES = 1_000
FALL = 0.5


def explored_in_vain(history: History, facts: Facts) -> str | None:
    """Find exploration that ended before a single episode went otherwise than the rest.

    Where no action has made a difference there is nothing to learn, and a greedy policy won't
    find it: MountainCar by single random actions is the known case (Sutton & Barto 2018, example
    10.1). Threshold: epsilon is at most 0.1 and has not moved for 8 rows, and all mean returns of
    training were the same.
    """
    epsilon, returns = history[EPSILON], history[TRAINING]
    if not epsilon.last(ROWS_AFTER, lambda value: value <= min(0.1, epsilon.lowest)):
        return None
    since = list(epsilon.points)[-ROWS_AFTER].env_steps
    is_known = returns.count >= ROWS_AFTER and list(returns.points)[-ROWS_AFTER].env_steps >= since
    if not is_known or returns.highest - returns.lowest > 1e-6 * max(1.0, returns.largest()):
        return None
    value = epsilon.newest(1)[0]
    return f"all episodes had the return {returns.highest:.4g}, and epsilon is down to {value:.3g}"


def loss_misleads(history: History, facts: Facts) -> str | None:
    """Find a loss that falls while evaluation does too.

    A small Bellman error is no small error of values (Fujimoto et al. 2022,
    arxiv.org/abs/2201.12417): values agree with each other and with nothing that comes. Threshold:
    8 evaluations at least, the mean of the newest three has lost half of all that was won since
    the start and four standard errors, the two before it lay there too, and the loss is below half
    of what it was at the best.
    """
    returns = list(history[EVALUATION].points)
    if len(returns) < LEAST_EVALUATIONS or len(slack := _standard_errors(history, 3)) < 3:
        return None
    means = [fmean(p.value for p in returns[i : i + 3]) for i in range(len(returns) - 2)]
    best = max(range(len(means)), key=means.__getitem__)
    won = means[best] - min(*means[: best + 1], history[TRAINING].lowest)
    level = means[best] - max(FALL * won, 4 * max(slack))
    if best > len(means) - 3 or won <= 0 or any(mean >= level for mean in means[-3:]):
        return None
    then = _loss(history, returns[best].env_steps, returns[best + 2].env_steps)
    now = _loss(history, returns[-3].env_steps, math.inf)
    if then is None or now is None or now >= 0.5 * then:
        return None
    return (
        f"the loss fell from {then:.3g} to {now:.3g} while evaluation fell from "
        f"{means[best]:.4g} to {means[-1]:.4g}"
    )


def _loss(history: History, first: float, last: float) -> float | None:
    values = [p.value for p in history[LOSS].points if first <= p.env_steps <= last]
    return fmean(values) if values else None


def evaluation_below(history: History, facts: Facts) -> str | None:
    """Find a greedy policy that does far worse than the exploring one it is read from.

    It is stuck where a random action helps out, or evaluation plays something else than training
    does (Machado et al. 2018, arxiv.org/abs/1709.06009, on both). Threshold: four evaluations in
    turn lie below training's return by more than half of all that training has won and four
    standard errors, in the same environments, after 1,000 updates: before, a greedy policy is
    hardly more than one action.
    """
    if not history[UPDATES].last(1, lambda updates: updates >= LEAST_UPDATES):
        return None
    evaluated, trained = history[EVALUATION].newest(4), history[TRAINING]
    if not facts.evaluates_alike or len(evaluated) < 4 or trained.count < 8:
        return None
    won = trained.highest - trained.lowest
    if won <= 0:
        return None
    slack = [4 * error for error in _standard_errors(history, 4)]
    if len(slack) < 4:
        return None
    level = _at(history, [p.env_steps for p in list(history[EVALUATION].points)[-4:]])
    is_below = all(
        there is not None and value < there - max(FALL * won, room)
        for value, there, room in zip(evaluated, level, slack, strict=True)
    )
    if not is_below:
        return None
    return f"evaluation's return is {evaluated[-1]:.4g} where training's is {level[-1]:.4g}"


def _standard_errors(history: History, count: int) -> list[float]:
    """Return those of the newest evaluations' mean returns."""
    pairs = zip(history[SPREAD].newest(count), history[EPISODES].newest(count), strict=False)
    return [spread / math.sqrt(max(1.0, number)) for spread, number in pairs]


def _at(history: History, times: list[int]) -> list[float | None]:
    """Return training's newest return at each of some env steps."""
    points = history[TRAINING].points
    before = [[p.value for p in points if p.env_steps <= time] for time in times]
    return [values[-1] if values else None for values in before]


RETURN_RULES = (
    Rule(
        "explored-in-vain",
        (EPSILON, TRAINING),
        explored_in_vain,
        "let epsilon fall later (data.collection.epsilon.duration), hold random actions "
        "(data.collection.random_action_max_steps=30), or lengthen the warm-up",
        "Sutton & Barto 2018, example 10.1",
    ),
    Rule(
        "loss-misleads",
        (LOSS, EVALUATION, SPREAD, EPISODES, TRAINING),
        loss_misleads,
        "stop trusting the loss: keep the best checkpoint, lower module.optimizer.lr, or raise "
        "data.replay.capacity",
        "Fujimoto et al. 2022, arxiv.org/abs/2201.12417",
    ),
    Rule(
        "evaluation-below-training",
        (EVALUATION, SPREAD, EPISODES, TRAINING, UPDATES),
        evaluation_below,
        "look at the episodes (watch), evaluate with data.evaluation.epsilon=0.01, and compare the "
        "wrappers of both environments",
        "Machado et al. 2018, arxiv.org/abs/1709.06009",
    ),
)
