"""What is looked at in an environment before a run, and what to do where it is wrong."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import gymnasium as gym
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import SyncVectorEnv, VectorEnv

from lightning_dqn.diagnostics.doctor.play import Play, are_equal, episode, play
from lightning_dqn.environments.bounds import Bounds
from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.environments.families import registered

LARGEST_REWARD, SMALLEST_REWARD = 1_000.0, 1e-3
"""Rewards beyond which a TD error is another order of magnitude than what learning rates are
tuned for (Henderson et al. 2018, arxiv.org/abs/1709.06560, fig. 3)."""

LARGEST_OBSERVATION = 100.0
"""Beyond it a layer's first sums saturate whatever the initialisation expects, of size 1 (LeCun et
al. 1998, "Efficient BackProp", section 4.3)."""

_OF_GENERATOR = "random number generator to have been generated"
"""In what gymnasium says where an environment draws from another generator than its own."""

_NUM_ENVS = 2
_FIRST_STEPS = 64


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


def check_environment(
    factory: EnvironmentFactory, *, steps: int, reward_clip: float | None = None
) -> tuple[list[Check], float | None]:
    """Look at an environment by random play.

    Args:
        factory: of it.
        steps: of random play, in each of two environments.
        reward_clip: that learning clips rewards to; None: it doesn't.

    Returns:
        What was looked at, and the mean length of the episodes that ended, in env steps; None:
        none did.
    """
    found = [_by_gymnasium(factory)]
    try:
        environment = factory.make_to_try(_NUM_ENVS)
    except ValueError as error:
        remedy = "let the function make a new environment each time"
        return [*found, Check("instances", str(error), remedy)], None
    found.append(Check("instances", f"{_NUM_ENVS} made, each its own"))
    try:
        other = factory.make_to_try(_NUM_ENVS)
        try:
            found += _seeding(environment, other)
        finally:
            other.close()
        seen, told = _played(environment, steps)
    finally:
        environment.close()
    length = sum(seen.lengths) / seen.episodes if seen.episodes else None
    return [*found, *_of_play(factory, seen, reward_clip), *_told(told)], length


def _by_gymnasium(factory: EnvironmentFactory) -> Check:
    """Let gymnasium's own checker look, where there is a single environment."""
    name, made = "gymnasium's checker", _single(factory)
    if made is None:
        return Check(name, "not asked: there is no single environment of this kind")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            check_env(made, skip_render_check=True, skip_close_check=True)
        except Exception as error:  # whatever the checker or the environment raises
            text = str(error).splitlines()[0] if str(error) else type(error).__name__
            if _OF_GENERATOR in text:  # what comes of it is looked at by itself, see _seeding
                return Check(name, f"a remark: {text}")
            return Check(name, text, "mend the environment as gymnasium says")
        finally:
            made.close()
    return Check(name, f"passed, with {len(told)} remarks" if told else "passed")


def _single(factory: EnvironmentFactory) -> gym.Env | None:
    """Return one environment without its usual wrappers; None where there is none."""
    if isinstance(factory.id, VectorEnv):
        return None
    if not isinstance(factory.id, str):
        made = factory.id(**factory.kwargs)
        return made.unwrapped if isinstance(made, gym.Env) else None
    if registered(factory.id).entry_point is None:
        return None
    return gym.make(factory.id, disable_env_checker=True, **factory.kwargs).unwrapped


def _seeding(one: VectorEnv, other: VectorEnv) -> Iterator[Check]:
    """Look whether a seed says what comes, and nothing else does."""
    first, again = episode(one, _FIRST_STEPS, 1), episode(other, _FIRST_STEPS, 1)
    if not are_equal(first, again):
        yield Check(
            "seeding",
            "the same seed and actions gave two different episodes",
            "draw all chance from self.np_random, which reset(seed=...) sets",
        )
        return
    is_random = not are_equal(first, episode(other, _FIRST_STEPS, 2))
    yield Check("seeding", "a seed gives its episode again" + _about_other(is_random))
    play(one, _FIRST_STEPS, 3)
    if are_equal(first, episode(one, _FIRST_STEPS, 1)):
        yield Check("state over resets", "none: an episode doesn't depend on those before it")
    else:
        yield Check(
            "state over resets",
            f"the episode of a seed depends on what was played before{_wrappers(one)}",
            "let reset set all of the environment and its wrappers; statistics that go on are "
            "shared neither with evaluation nor with checkpoints",
        )


def _about_other(is_random: bool) -> str:
    return (
        ", another seed another" if is_random else ", and another seed the same: it has no chance"
    )


def _wrappers(environment: VectorEnv) -> str:
    """Name the wrappers among which the state may lie."""
    unwrapped = environment.unwrapped
    if not isinstance(unwrapped, SyncVectorEnv):
        return ""
    layer, names = unwrapped.envs[0], []
    while isinstance(layer, gym.Wrapper):
        if not type(layer).__module__.startswith(("gymnasium.", "lightning_dqn.")):
            names.append(type(layer).__name__)
        layer = layer.env
    return f" (wrappers: {', '.join(names)})" if names else ""


def _played(environment: VectorEnv, steps: int) -> tuple[Play, list[str]]:
    """Play, and return beside what was seen what was warned of."""
    bounds = Bounds(environment.single_observation_space)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        seen = play(_Watched(environment, bounds), steps, 4)
    return seen, list(dict.fromkeys(str(one.message) for one in told))


class _Watched(gym.vector.VectorWrapper):
    """Holds observations against their space."""

    def __init__(self, environment: VectorEnv, bounds: Bounds) -> None:
        super().__init__(environment)
        self._bounds = bounds

    def step(self, actions: Any) -> Any:
        """Take a step and look."""
        given = super().step(actions)
        self._bounds.look(given[0])
        return given


def _of_play(factory: EnvironmentFactory, seen: Play, clip: float | None) -> Iterator[Check]:
    for look in _LOOKS:
        yield look(factory, seen, clip)


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
    told = f"{seen.terminated} terminated, {seen.truncated} truncated"
    limit = time_limit(factory)
    if seen.episodes or limit is not None:
        limited = "" if limit is None else f", the limit is {limit:,} env steps"
        return Check("ends of episodes", f"{told} in {seen.steps:,} random steps{limited}")
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


def _told(messages: list[str]) -> Iterator[Check]:
    """Yield what the environment was warned of while it was played."""
    for message in messages:
        if "outside the space" in message:
            yield Check("observation space", message, "declare the space as wide as it is")
