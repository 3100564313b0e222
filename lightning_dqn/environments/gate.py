"""The gate through which everything comes that an environment gives: made ours, or refused.

Behind it nobody checks again. Numbers are taken in any type that says the same; a cast that would
lose or change a value is refused, with the environment and what it gave.
Shapes: E environments, A actions.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, ParamSpec, TypeVar

import numpy as np
from gymnasium.vector import VectorEnv

from lightning_dqn.environments.exact import (
    LARGEST_FLOAT32,
    beyond,
    exact,
    refuse_where,
    zeros_and_ones,
)
from lightning_dqn.environments.spec import LIFE_LOST, EnvironmentSpec
from lightning_dqn.environments.worker_faults import RESTARTED
from lightning_dqn.environments.wrapping import OWN_REWARD, layers_of
from lightning_dqn.system.faults import RunFault

LOOK_LIKE_MASKS = (
    "action_masks",
    "avail_actions",
    "available_actions",
    "legal_actions",
    "legal_moves",
    "valid_actions",
)
"""What others call what is called ``action_mask`` here and in PettingZoo."""

METHODS_LIKE_MASKS = ("action_masks", "action_mask", "valid_action_mask", "valid_actions")
"""Methods by which others ask an environment for its mask."""


_LIFE_LOST = f"info[{LIFE_LOST!r}]"


class Given(NamedTuple):
    """What a step of all environments gave, as it is used.

    Attributes:
        observation: [E, *shape], of a type that the declared one holds without loss.
        reward: float[E].
        terminated: bool[E].
        truncated: bool[E].
        ended: bool[E], terminated or truncated.
        action_mask: bool[E, A], or None where all actions are legal.
        own_reward: float[E], before wrappers changed it; None where none could.
        restarted: bool[E], whose episode was cut because its worker began anew; None: nobody's.
        life_lost: bool[E], whose step cost a life; None where no lives are told of.
    """

    observation: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    ended: np.ndarray
    action_mask: np.ndarray | None
    own_reward: np.ndarray | None
    restarted: np.ndarray | None
    life_lost: np.ndarray | None


Parameters = ParamSpec("Parameters")
Taken = TypeVar("Taken")


class Refused(RunFault, ValueError):
    """An environment gave what can't be meant."""


def _refusing(take: Callable[Parameters, Taken]) -> Callable[Parameters, Taken]:
    """Let what takes something of an environment raise :class:`Refused`."""

    @functools.wraps(take)
    def taking(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Taken:
        try:
            return take(*args, **kwargs)
        except ValueError as error:
            raise Refused(str(error)) from error

    return taking


class Gate:
    """Takes what one vector environment gives.

    Args:
        spec: what it has declared.
        num_envs: E.
    """

    def __init__(self, spec: EnvironmentSpec, num_envs: int) -> None:
        self.spec = spec
        self.num_envs = num_envs
        self._has_told = False

    @_refusing
    def take_reset(
        self, observation: Any, info: Mapping[str, Any]
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the first observations and their legal actions.

        Raises:
            Refused: something can't be meant.
        """
        if not self.spec.has_action_mask:
            self._tell_of_names(info)
        nowhere = np.zeros(self.num_envs, bool)
        mask = self._action_mask(info, nowhere)
        _refuse_stuck(mask, nowhere)
        return self._observation(observation), mask

    @_refusing
    def take_step(
        self,
        observation: Any,
        reward: Any,
        terminated: Any,
        truncated: Any,
        info: Mapping[str, Any],
    ) -> Given:
        """Return what a step gave.

        Raises:
            Refused: something can't be meant.
        """
        terminated = self._ends("terminated", terminated)
        truncated = self._ends("truncated", truncated)
        ended, restarted = terminated | truncated, info.get(RESTARTED)
        needless = terminated if restarted is None else terminated | restarted
        mask = self._action_mask(info, needless)
        if mask is not None and np.count_nonzero(truncated):
            self._allow_some(mask, truncated & ~needless)
        _refuse_stuck(mask, ended)
        return Given(
            self._observation(observation),
            self._reward(reward),
            terminated,
            truncated,
            ended,
            mask,
            info.get(OWN_REWARD),
            restarted,
            self._life_lost(info),
        )

    def _observation(self, given: Any) -> np.ndarray:
        values = np.asarray(given)
        self._check_shape("observation", values, self.spec.observation_shape)
        return exact(values, self.spec)

    def _reward(self, given: Any) -> np.ndarray:
        values = np.asarray(given)
        self._check_shape("reward", values, ())
        if values.dtype == np.float32:
            return values
        if values.dtype.kind not in "biuf":
            raise ValueError(f"reward is of the type {values.dtype}, not numbers")
        values = values.astype(np.float64, copy=False)
        # The sum of squares is one quick look: while it is small, so is every reward.
        if not np.dot(values, values) <= LARGEST_FLOAT32:
            wrong = beyond(values)
            refuse_where("reward", values, wrong, "a number that float32 holds")
        return values

    def _ends(self, name: str, given: Any) -> np.ndarray:
        values = np.asarray(given)
        self._check_shape(name, values, ())
        return zeros_and_ones(name, values)

    def _life_lost(self, info: Mapping[str, Any]) -> np.ndarray | None:
        given = info.get(LIFE_LOST)
        if not self.spec.has_life_losses:
            if given is not None:
                raise ValueError(
                    f"{_LIFE_LOST} came where the environment gave none when it was looked at: "
                    "give it in every reset and step, of training and evaluation alike"
                )
            return None
        if given is None:  # gymnasium leaves out what no environment gave this time
            return np.zeros(self.num_envs, bool)
        values = np.asarray(given)
        if values.dtype.hasobject:  # and None for one of them, beside NumPy's own bool
            values = np.array([0 if each is None else each for each in values])
        return self._ends(_LIFE_LOST, values)

    def _action_mask(self, info: Mapping[str, Any], needless: np.ndarray) -> np.ndarray | None:
        mask = read_action_mask(info, self.num_envs, self.spec.num_actions)
        if self.spec.has_action_mask:
            self._tell_of_missing(info, needless)
        elif mask is not None:
            raise ValueError(
                "info['action_mask'] came where the environment gave none when it was looked at: "
                "give it in every reset and step, of training and evaluation alike"
            )
        return mask

    def _check_shape(self, name: str, values: np.ndarray, shape: tuple[int, ...]) -> None:
        expected = (self.num_envs, *shape)
        if values.shape != expected:
            raise ValueError(
                f"{name} has the shape {values.shape}, expected {expected}: one for each of the "
                f"{self.num_envs} environments, as declared"
            )

    def _tell_of_missing(self, info: Mapping[str, Any], needless: np.ndarray) -> None:
        """Say once that a state came without the mask that others have.

        One that terminates an episode needs none: nothing is expected there. A truncated one
        does, and has it from before where a worker began anew.
        """
        if self._has_told:  # else looked for at each step
            return
        is_there = np.asarray(info.get("_action_mask", "action_mask" in info), bool)
        missing = np.flatnonzero(~(is_there | needless))
        if len(missing):
            self._tell_once(
                f"environment {missing[0]} gave no info['action_mask'] in a state: there all its "
                "actions count as legal"
            )

    def _allow_some(self, mask: np.ndarray, cut: np.ndarray) -> None:
        """Let all actions count as legal in truncated states without any, and say so once.

        What would have followed is valued by a legal action.
        """
        closed = np.flatnonzero(cut & ~mask.any(axis=1))
        mask[closed] = True
        if len(closed):
            self._tell_once(
                f"environment {closed[0]} gave no legal action in info['action_mask'] in a "
                "truncated state, whose value is learned from: there all its actions count as "
                "legal; give those that were"
            )

    def _tell_of_names(self, info: Mapping[str, Any]) -> None:
        """Say once that what looks like a mask isn't read."""
        found = [name for name in LOOK_LIKE_MASKS if name in info]
        if found:
            self._tell_once(
                f"info[{found[0]!r}] isn't read; if it tells the legal actions, give them as "
                "info['action_mask'], bool[A]"
            )

    def _tell_once(self, text: str) -> None:
        """Warn of legal actions that aren't told as they should be, the first time alone."""
        if not self._has_told:
            self._has_told = True
            warnings.warn(text, UserWarning, stacklevel=3)


def tell_of_methods(environment: VectorEnv, name: str) -> None:
    """Warn of a method that looks like a mask, of an environment that gives none: none is called.

    Args:
        environment: in this process.
        name: how messages call it.
    """
    copies = getattr(environment.unwrapped, "envs", None)
    looked_at = [environment, environment.unwrapped, *(layers_of(copies[0]) if copies else ())]
    for method in METHODS_LIKE_MASKS:
        if any(callable(getattr(one, method, None)) for one in looked_at):
            text = (
                f"id={name}: its method {method}() isn't called; if it tells the legal actions, "
                "give them as info['action_mask'], bool[A], at reset and every step"
            )
            warnings.warn(text, UserWarning, stacklevel=2)
            return


def _refuse_stuck(mask: np.ndarray | None, ended: np.ndarray) -> None:
    """Refuse a state without any legal action in which an episode goes on."""
    if mask is None:
        return
    stuck = np.flatnonzero(~(mask.any(axis=1) | ended))
    if len(stuck):
        raise ValueError(
            f"environment {stuck[0]} gave info['action_mask'] without any legal action in a state "
            "that isn't an episode's last: end the episode there"
        )


def read_action_mask(info: Mapping[str, Any], num_envs: int, num_actions: int) -> np.ndarray | None:
    """Return ``info["action_mask"]`` as bool[E, A], or None where the environment has none.

    An environment that gave no mask this time has every action legal.

    Raises:
        ValueError: the mask's shape isn't [E, A], or it holds something else than 0 and 1.
    """
    mask = info.get("action_mask")
    if mask is None:
        return None
    if isinstance(mask, np.ndarray) and mask.dtype.hasobject:
        mask = np.stack([np.ones(num_actions, bool) if m is None else np.asarray(m) for m in mask])
    mask = np.asarray(mask)
    if mask.shape != (num_envs, num_actions):
        raise ValueError(
            f"info['action_mask'] has the shape {mask.shape}, not {(num_envs, num_actions)}"
        )
    mask = mask.copy() if mask.dtype == bool else zeros_and_ones("info['action_mask']", mask)
    given = info.get("_action_mask")
    return mask if given is None else mask | ~np.asarray(given, bool)[:, None]
