"""Rules about replay: how episodes end in the ring, by what it is drawn from, and how often."""

from __future__ import annotations

from itertools import pairwise
from statistics import median

from lightning_dqn.diagnostics.doctor.history import History
from lightning_dqn.diagnostics.doctor.rule import Facts, Rule

FILL, UPDATES = "replay/fill", "train/updates"
TERMINATED, TRUNCATED = "replay/terminated", "replay/truncated"
STALE, DUPLICATES = "replay/priority_stale", "replay/duplicates"
MEDIAN, TAIL, REST = "replay/priority_p50", "replay/priority_p95", "replay/priority_p5"

NO_END_ENV_STEPS = 10_000
NO_END_STEPS_OF_EACH = 2_500
FEW = 0.25
OFF = 1.25
LEAST_ROWS = 20


def no_end(history: History, facts: Facts) -> str | None:
    """Find environments whose episodes never end.

    Then no return is ever told, and a state from which nothing leads on is never left. Known of
    environments without a time limit. Threshold: 10,000 env steps and 2,500 of each environment (a
    game of Freeway has 2,048), three looks, no row of the ring with an end of either kind.
    """
    both = (history[TERMINATED], history[TRUNCATED])
    if not all(one.last(3, lambda share: share == 0) for one in both):
        return None
    env_steps = both[0].points[-1].env_steps
    least = max(NO_END_ENV_STEPS, NO_END_STEPS_OF_EACH * (facts.num_envs or 1))
    if env_steps < least or any(one.highest > 0 for one in both):
        return None
    return f"no episode has ended in {env_steps:,} env steps"


def lost_terminals(history: History, facts: Facts) -> str | None:
    """Find a ring that has forgotten how episodes end.

    A policy that got good no longer fails, the ring loses its failures, and what bootstraps from
    it forgets them: ARENA_3.0 pull request 399 (CartPole), "catastrophic forgetting". Threshold:
    there were terminations, and in three looks in turn a full ring has none.
    """
    terminated = history[TERMINATED]
    full = history[FILL].last(3, lambda fill: fill >= 1)
    if not full or terminated.highest <= 0 or not terminated.last(3, lambda share: share == 0):
        return None
    return "the ring held episodes that terminated, and holds none any more"


def stale_priorities(history: History, facts: Facts) -> str | None:
    """Find a sampler that goes by priorities which aren't those that came back.

    Algorithm 1 of Schaul et al. 2016 (arxiv.org/abs/1511.05952) sets the priority of what was
    drawn after every update; left out, the first error decides for ever. Threshold: more than
    0.1 of what was drawn is out of order, at two looks in turn.
    """
    if not history[STALE].last(2, lambda share: share > 0.1):
        return None
    share = history[STALE].newest(1)[0]
    return f"{share:.0%} of the priorities that are kept don't follow those that came back"


def collapsed_priorities(history: History, facts: Facts) -> str | None:
    """Find priorities by which a few transitions are all that is drawn, or which tell none apart.

    Loss of diversity, section 3.3 of Schaul et al. 2016 (arxiv.org/abs/1511.05952). Threshold:
    more than a quarter of a minibatch stands in it already and ten times as much as uniform
    sampling has, (B - 1) / 2N; or the priorities' 5th and 95th percentile are one, above 0. At
    three looks in turn.
    """
    if not history[MEDIAN].count:
        return None
    pairs = list(zip(history[REST].newest(3), history[TAIL].newest(3), strict=False))
    if len(pairs) == 3 and all(0 < high <= low * (1 + 1e-6) for low, high in pairs):
        return f"all priorities are alike, {pairs[-1][0]:.4g}: sampling is uniform"
    if facts.batch_size is None or facts.capacity is None or not history[FILL].count:
        return None
    rows = max(1.0, history[FILL].newest(1)[0] * facts.capacity)
    least = max(FEW, 10 * facts.batch_size / (2 * rows))
    if not history[DUPLICATES].last(3, lambda share: share > least):
        return None
    share = history[DUPLICATES].newest(1)[0]
    return f"{share:.0%} of a minibatch stands in it already: few transitions are all"


def ratio_off(history: History, facts: Facts) -> str | None:
    """Find a run that learns more or less often than it was asked to.

    Fedus et al. 2020 (arxiv.org/abs/2007.06700): the ratio decides about as much as the
    algorithm does, and a sampler or a source of one's own may change it in silence. Threshold: a
    quarter off, over all of 20 rows or more. The ratio of single looks says less, for they come
    more often with long iterations. Twice as long a way as usual from row to row is left out: there
    a run that went on without its ring filled it again, and made no updates.
    """
    asked, points = facts.updates_per_env_step, history[UPDATES].points
    if not asked or len(points) < LEAST_ROWS:
        return None
    ways = [(b.env_steps - a.env_steps, b.value - a.value) for a, b in pairwise(points)]
    ways = [way for way in ways if way[0] > 0]
    if not ways:
        return None
    longest = 2 * median(env_steps for env_steps, _ in ways)
    usual = [way for way in ways if way[0] <= longest]
    ratio = sum(updates for _, updates in usual) / sum(env_steps for env_steps, _ in usual)
    if asked / OFF < ratio < asked * OFF:
        return None
    return f"{ratio:.4g} updates are made for each env step, and {asked:.4g} were asked for"


REPLAY_RULES = (
    Rule(
        "no-episode-ends",
        (TERMINATED, TRUNCATED),
        no_end,
        "give the environment a limit, as +environment.kwargs.max_episode_steps=1000",
        "Pardo et al. 2018, arxiv.org/abs/1712.00378",
    ),
    Rule(
        "terminals-lost",
        (FILL, TERMINATED),
        lost_terminals,
        "raise data.replay.capacity, or keep exploring: data.collection.epsilon.end=0.05",
        "github.com/callummcdougall/ARENA_3.0/pull/399",
    ),
    Rule(
        "priorities-stale",
        (STALE,),
        stale_priorities,
        "let the sampler's update_priorities set the rows that were drawn last",
        "Schaul et al. 2016, arxiv.org/abs/1511.05952",
    ),
    Rule(
        "priorities-collapsed",
        (MEDIAN, TAIL, REST, DUPLICATES, FILL),
        collapsed_priorities,
        "lower data.sampler.alpha, raise data.sampler.epsilon, or sample uniformly "
        "(data/sampler=uniform)",
        "Schaul et al. 2016, arxiv.org/abs/1511.05952",
    ),
    Rule(
        "replay-ratio-off",
        (UPDATES,),
        ratio_off,
        "let the sampler give data.updates_per_iteration minibatches, and the source "
        "data.env_steps_per_iteration env steps, or ask for what is wanted",
        "Fedus et al. 2020, arxiv.org/abs/2007.06700",
    ),
)
