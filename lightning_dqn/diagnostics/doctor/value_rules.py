"""Rules about values: whether they can be, and whether they come true."""

from __future__ import annotations

from lightning_dqn.diagnostics.doctor.history import History
from lightning_dqn.diagnostics.doctor.rule import Facts, Rule

LOW, HIGH = "values/q_value_p5", "values/q_value_p95"
REWARD = "replay/largest_reward"
OVERESTIMATION, CAME = "eval/overestimation", "eval/discounted_return"
WORST, BEST = "eval/return_p0", "eval/return_p100"

BEYOND = 1.5
"""Times the bound of values that they may reach, for networks overshoot it a little."""

OVER = 2.0
"""Times the largest return there was that values may lie above what came."""


def beyond_returns(history: History, facts: Facts) -> str | None:
    """Find values that no sequence of rewards could add up to.

    No discounted return lies above r / (1 - gamma), r the largest reward. Van Hasselt et al. 2018
    (arxiv.org/abs/1812.02648) call values beyond it soft divergence. Threshold: 1.5 times that, at
    two looks in turn.
    """
    reward = history[REWARD].highest
    if facts.gamma is None or abs(facts.gamma) >= 1 or not history[REWARD].count or reward <= 0:
        return None
    bound = reward / (1 - abs(facts.gamma))
    for key in (LOW, HIGH):
        if history[key].last(2, lambda value: abs(value) > BEYOND * bound):
            value = history[key].newest(1)[0]
            return f"values reach {value:.4g}, and no return lies beyond {bound:.4g}"
    return None


def overestimated(history: History, facts: Facts) -> str | None:
    """Find values that lie far above the returns that follow.

    The maximum picks errors, and bootstrapping feeds them back: van Hasselt et al. 2016
    (arxiv.org/abs/1509.06461), figs. 2 and 3, where they rise to many times what comes. Threshold:
    above twice the largest return or reward that there was, in three evaluations in turn.
    """
    known = (CAME, WORST, BEST, REWARD)
    scale = max(history[key].largest() for key in known)
    if scale == 0 or not history[OVERESTIMATION].last(3, lambda value: value > OVER * scale):
        return None
    value = history[OVERESTIMATION].newest(1)[0]
    return f"values lie {value:.4g} above what followed, where no return was above {scale:.4g}"


VALUE_RULES = (
    Rule(
        "values-beyond-returns",
        (LOW, HIGH, REWARD),
        beyond_returns,
        "lower module.optimizer.lr, move the target network more slowly, keep module/target "
        "double, and look whether gamma is below 1",
        "van Hasselt et al. 2018, arxiv.org/abs/1812.02648",
    ),
    Rule(
        "values-overestimated",
        (OVERESTIMATION, CAME, WORST, BEST, REWARD),
        overestimated,
        "take double DQN (algorithm=double_dqn), a slower target network or a lower "
        "module.optimizer.lr",
        "van Hasselt et al. 2016, arxiv.org/abs/1509.06461",
    ),
)
