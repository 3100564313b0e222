"""What is looked at in an environment before a run, and what to do where it is wrong."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import SyncVectorEnv, VectorEnv

from lightning_dqn.diagnostics.doctor.looks import Check, looks_of
from lightning_dqn.diagnostics.doctor.play import Play, are_equal, episode, play
from lightning_dqn.environments.bounds import Bounds
from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.environments.making import has_single_entry_point, make_bare
from lightning_dqn.system.faults import first_line

_OF_GENERATOR = "random number generator to have been generated"
"""In what gymnasium says where an environment draws from another generator than its own."""

_NUM_ENVS = 2
_FIRST_STEPS = 64


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
        seen, messages = _played(environment, steps)
    finally:
        environment.close()
    length = sum(seen.lengths) / seen.episodes if seen.episodes else None
    return [*found, *looks_of(factory, seen, reward_clip), *_warned_of(messages)], length


def _by_gymnasium(factory: EnvironmentFactory) -> Check:
    """Let gymnasium's own checker look, where there is a single environment."""
    name = "gymnasium's checker"
    if factory.spec.has_action_mask:
        return Check(name, "not asked: it takes actions whatever the mask says")
    if (made := _single(factory)) is None:
        return Check(name, "not asked: there is no single environment of this kind")
    with warnings.catch_warnings(record=True) as messages:
        warnings.simplefilter("always")
        try:
            check_env(made, skip_render_check=True, skip_close_check=True)
        except Exception as error:  # whatever the checker or the environment raises
            text = first_line(error)
            if _OF_GENERATOR in text:  # what comes of it is looked at by itself, see _seeding
                return Check(name, f"a remark: {text}")
            return Check(name, text, "mend the environment as gymnasium says")
        finally:
            made.close()
    return Check(name, f"passed, with {len(messages)} remarks" if messages else "passed")


def _single(factory: EnvironmentFactory) -> gym.Env | None:
    """Return one environment without its usual wrappers; None where there is none."""
    if isinstance(factory.id, VectorEnv) or not has_single_entry_point(factory.id):
        return None
    return make_bare(factory.id, factory.kwargs).unwrapped


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
    with warnings.catch_warnings(record=True) as messages:
        warnings.simplefilter("always")
        seen = play(_Watched(environment, bounds), steps, 4)
    return seen, list(dict.fromkeys(str(one.message) for one in messages))


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


def _warned_of(messages: list[str]) -> Iterator[Check]:
    """Yield what the environment was warned of while it was played."""
    for message in messages:
        if "outside the space" in message:
            yield Check("observation space", message, "declare the space as wide as it is")
