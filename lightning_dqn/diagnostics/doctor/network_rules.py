"""Rules about the networks: units that are silent, a target that doesn't follow, gradients."""

from __future__ import annotations

from itertools import pairwise

from lightning_dqn.diagnostics.doctor.history import History
from lightning_dqn.diagnostics.doctor.rule import Facts, Rule

DORMANT = "network/dormant_units"
DISTANCE = "network/target_distance"
NORM = "train/gradient_norm"
RATE = "train/learning_rate"
EVALUATION = "eval/episode_return"

SILENT = 0.65
STILL = 0.5
TOGETHER = 1e-5
CLIPPED_ROWS = 40
CLIPPED_TIMES = 10.0


def silent_units(history: History, facts: Facts) -> str | None:
    """Find a network most of whose units say nothing.

    Dormant units of Sokar et al. 2023 (arxiv.org/abs/2302.12902): there the worst agents, with
    many updates for each env step, come to half of them and more. Threshold: 0.65 of all, at two
    looks in turn; a healthy network of the shipped experiments has up to half.
    """
    if not history[DORMANT].last(2, lambda share: share > SILENT):
        return None
    return f"{history[DORMANT].newest(1)[0]:.0%} of the torso's units are all but silent"


def still_target(history: History, facts: Facts) -> str | None:
    """Find a target network that nothing moves.

    Then values come to r + gamma * (what an untrained network says) and no further; the commonest
    fault of a hand-written loop, Mnih et al. 2015 copy it every 10,000 updates. The distance of
    one that is moved falls again and again. Threshold: it never fell in five looks, and is above
    half of the online weights' size.
    """
    newest = history[DISTANCE].newest(5)
    rises = all(later > earlier for earlier, later in pairwise(newest))
    if len(newest) < 5 or not rises or newest[-1] < STILL:
        return None
    return f"the online network moves away from the target network, {newest[-1]:.0%} of its size"


def hasty_target(history: History, facts: Facts) -> str | None:
    """Find a target network that is the online network.

    Without a lag the targets run after every update, which Mnih et al. 2015
    (doi.org/10.1038/nature14236), table 3, found to lose most of what they had. Threshold: nearer
    than 1e-5 of the weights' size at three looks in turn, while the learning rate is not yet a
    tenth of what it was. One that is copied now and then may have been just before each look.
    """
    if facts.target_lags:
        return None
    rate = history[RATE]
    if rate.count and rate.newest(1)[0] < 0.1 * rate.highest:
        return None
    if not history[DISTANCE].last(3, lambda distance: distance < TOGETHER):
        return None
    return "the target network is the online network at every look"


def always_clipped(history: History, facts: Facts) -> str | None:
    """Find gradients of which the clip leaves nothing but the direction, where nothing is learned.

    Clipping is against gradients that explode now and then (Pascanu et al. 2013,
    arxiv.org/abs/1211.5063); where it always acts, no update is larger than another, and Adam no
    longer sees which gradient is. LunarLander learns well so, with gradients of 500 for a limit of
    10, so that alone is no finding. Threshold: above ten times the limit in each of 40 rows in
    turn, and none of the newest three of five evaluations better than the first.
    """
    limit, returns = facts.max_gradient_norm, history[EVALUATION]
    if limit is None or returns.count < 5:
        return None
    if not returns.last(3, lambda value: value <= returns.points[0].value):
        return None
    if not history[NORM].last(CLIPPED_ROWS, lambda norm: norm > CLIPPED_TIMES * limit):
        return None
    norm = history[NORM].newest(1)[0]
    return f"gradients are {norm:.4g} long, always clipped to {limit:.4g}, and nothing is learned"


NETWORK_RULES = (
    Rule(
        "units-silent",
        (DORMANT,),
        silent_units,
        "lower module.optimizer.lr, add layer_norm to the network, scale observations and rewards, "
        "or revive units by +callbacks/redo=default",
        "Sokar et al. 2023, arxiv.org/abs/2302.12902",
    ),
    Rule(
        "target-still",
        (DISTANCE,),
        still_target,
        "choose callbacks/target_network=ema or hard, or add EMATargetNetwork to the callbacks",
        "Mnih et al. 2015, doi.org/10.1038/nature14236",
    ),
    Rule(
        "target-hasty",
        (DISTANCE, RATE),
        hasty_target,
        "lower callbacks.target_network.tau (0.005), or raise every_n_updates with tau=1",
        "Mnih et al. 2015, table 3, doi.org/10.1038/nature14236",
    ),
    Rule(
        "gradient-always-clipped",
        (NORM, EVALUATION),
        always_clipped,
        "scale rewards down (a wrapper, or data.replay.reward_clip), take hints.td_error=huber, or "
        "raise module.max_gradient_norm",
        "Pascanu et al. 2013, arxiv.org/abs/1211.5063",
    ),
)
