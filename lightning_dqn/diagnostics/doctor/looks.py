"""What random play says of an environment, thing by thing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from lightning_dqn.diagnostics.doctor.play import Play
from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.environments.families import registered

LARGEST_REWARD, SMALLEST_REWARD = 1_000.0, 1e-3
"""Rewards beyond which a TD error is another order of magnitude than what learning rates are
tuned for (Henderson et al. 2018, arxiv.org/abs/1709.06560, fig. 3)."""

LARGEST_OBSERVATION = 100.0
"""Beyond it a layer's first sums saturate whatever the initialisation expects, of size 1 (LeCun et
al. 1998, "Efficient BackProp", section 4.3)."""


class Check(NamedTuple):
    """What a look at one thing came to.

    Attributes:
        name: of what was looked at.
        result: in a few words.
        remedy: what to do; None: nothing is wrong.
    """

    name: str
    result: str
    remedy: str | None = None


def looks_of(factory: EnvironmentFactory, seen: Play, reward_clip: float | None) -> Iterator[Check]:
    """Yield what comes of each look.

    Args:
        factory: of the environment.
        seen: of it in random play.
        reward_clip: that learning clips rewards to; None: it doesn't.
    """
    for look in _LOOKS:
        yield look(factory, seen, reward_clip)


def _autoreset(factory: EnvironmentFactory, seen: Play, clip: float | None) -> Check:
    if seen.rewarded_resets:
        return Check(
            "autoreset",
            f"{seen.rewarded_resets} steps after an episode's end gave a reward or ended again",
            "begin the new episode with reward 0 and no end, as AutoresetMode.NEXT_STEP has it",
        )
    return Check("autoreset", f"{seen.episodes} episodes began after another's end")


def _masks(factory: EnvironmentFactory, seen: Play, clip: float | None) -> Check:
    if seen.without_legal:
        return Check(
            "masks",
            f"{seen.without_legal} states had no legal action",
            "end the episode where nothing can be done, or let one action be legal there",
        )
    has_mask = factory.spec.has_action_mask
    return Check("masks", "each state has a legal action" if has_mask else "all actions are legal")


def _numbers(factory: EnvironmentFactory, seen: Play, clip: float | None) -> Check:
    if seen.not_finite:
        return Check(
            "numbers",
            f"{seen.not_finite} steps gave what is NaN or infinite",
            "mend the environment: one such transition ends the run",
        )
    return Check("numbers", "all are finite")


def _rewards(factory: EnvironmentFactory, seen: Play, clip: float | None) -> Check:
    largest, smallest = seen.largest_reward, seen.smallest_reward
    if largest == 0:
        return Check("reward scale", f"no reward in {seen.steps:,} random steps: it is sparse")
    if clip is not None:
        return Check("reward scale", f"up to {largest:.4g}, learned from up to {clip:.4g}")
    result = f"from {smallest:.4g} to {largest:.4g} in size"
    if largest > LARGEST_REWARD or largest < SMALLEST_REWARD:
        return Check(
            "reward scale",
            result,
            "bring rewards to about 1 by gymnasium.wrappers.TransformReward, or clip them by "
            "data.replay.reward_clip=1.0",
        )
    return Check("reward scale", result)


def _observations(factory: EnvironmentFactory, seen: Play, clip: float | None) -> Check:
    result = f"up to {seen.largest_observation:.4g} in size"
    if factory.spec.num_states is not None:
        return Check("observation scale", "a number of a state")
    if factory.spec.observation_dtype == "uint8":
        return Check("observation scale", f"{result}, as bytes, which networks scale")
    if seen.largest_observation > LARGEST_OBSERVATION:
        return Check(
            "observation scale",
            result,
            "bring observations to about 1, as by gymnasium.wrappers.RescaleObservation in "
            "environment.wrappers",
        )
    return Check("observation scale", result)


def _ends(factory: EnvironmentFactory, seen: Play, clip: float | None) -> Check:
    counts = f"{seen.terminated} terminated, {seen.truncated} truncated"
    limit = time_limit(factory)
    if seen.episodes or limit is not None:
        limited = "" if limit is None else f", the limit is {limit:,} env steps"
        return Check("ends of episodes", f"{counts} in {seen.steps:,} random steps{limited}")
    return Check(
        "ends of episodes",
        f"no episode ended in {seen.steps:,} random steps, and there is no time limit",
        "give it one, as gymnasium.wrappers.TimeLimit in environment.wrappers, or "
        "+environment.kwargs.max_episode_steps=1000",
    )


_LOOKS: tuple[Callable[[EnvironmentFactory, Play, float | None], Check], ...] = (
    _autoreset,
    _masks,
    _numbers,
    _rewards,
    _observations,
    _ends,
)


def time_limit(factory: EnvironmentFactory) -> int | None:
    """Return the env steps after which gymnasium truncates an episode; None: it knows of none."""
    given = factory.kwargs.get("max_episode_steps")
    if given is not None:
        return int(given)
    if isinstance(factory.id, str):
        return registered(factory.id).max_episode_steps
    spec = getattr(factory.id, "spec", None)
    return None if spec is None else spec.max_episode_steps
