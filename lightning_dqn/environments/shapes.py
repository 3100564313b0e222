"""Environments stepped in turn in this process, of which each gives what it declares.

Class and file keep their names, by which a checkpoint knows the environments' state.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from gymnasium.vector import SyncVectorEnv
from gymnasium.vector.utils import concatenate, create_empty_array, iterate

from lightning_dqn.environments.declared import (
    RESET,
    STEP,
    DeclaredObservation,
    WrongGiven,
    as_end,
    as_reward,
    parts,
)
from lightning_dqn.environments.infos import gathered


def _refuse_unlike(environments: list[Any]) -> None:
    spaces_of_all = [(one.observation_space, one.action_space) for one in environments]
    for index, spaces in enumerate(spaces_of_all):
        if spaces != (first := spaces_of_all[0]):
            raise ValueError(
                f"environment {index} has the spaces {spaces[0]} and {spaces[1]}, environment 0 "
                f"{first[0]} and {first[1]}: copies learn as one, so all need the same spaces"
            ) from None


class ShapedVectorEnv(SyncVectorEnv):
    """Environments stepped in turn, in NEXT_STEP mode, whose values are checked one by one.

    Raises:
        WrongGiven: in a reset or a step, naming the environment.
    """

    _steps = 0

    def __init__(self, env_fns: Any) -> None:
        """Make the environments.

        Raises:
            ValueError: they differ in their spaces.
        """
        try:
            super().__init__(env_fns)
        except RuntimeError:
            _refuse_unlike(getattr(self, "envs", []))
            raise

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> Any:
        """Return the first observations and infos."""
        if seed is None or isinstance(seed, int):
            seed = [None if seed is None else seed + i for i in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise ValueError(f"seed={seed}: expected one for each of {self.num_envs} environments")
        self._autoreset_envs = np.zeros(self.num_envs, bool)
        declared = DeclaredObservation(self.single_observation_space)
        observations: list[Any] = []
        infos: list[Any] = []
        with _naming(infos):
            for environment, one in zip(self.envs, seed, strict=True):
                observation, info = parts(environment.reset(seed=one, options=options), RESET)
                observations.append(declared.take(observation, self._steps))
                infos.append(info)
        return self._as_one(observations, declared), gathered(infos)

    def step(self, actions: Any) -> Any:
        """Return what the steps gave; where an episode has ended it is the next one's reset."""
        self._steps += 1
        declared = DeclaredObservation(self.single_observation_space)
        observations: list[Any] = []
        infos: list[Any] = []
        reward = np.zeros(self.num_envs)
        terminated, truncated = np.zeros((2, self.num_envs), bool)
        chosen: Any = iterate(self.action_space, actions)
        with _naming(infos):
            for index, (environment, action) in enumerate(zip(self.envs, chosen, strict=True)):
                if self._autoreset_envs[index]:
                    observation, info = parts(environment.reset(), RESET)
                else:
                    observation, given, ends, cut, info = parts(environment.step(action), STEP)
                    reward[index] = as_reward(given)
                    terminated[index] = as_end("terminated", ends)
                    truncated[index] = as_end("truncated", cut)
                observations.append(declared.take(observation, self._steps))
                infos.append(info)
        self._autoreset_envs = terminated | truncated
        return self._as_one(observations, declared), reward, terminated, truncated, gathered(infos)

    def _as_one(self, observations: list[Any], declared: DeclaredObservation) -> Any:
        if declared.shape is not None:
            return np.stack(observations)
        into: Any = create_empty_array(self.single_observation_space, self.num_envs)
        return concatenate(self.single_observation_space, observations, into)


@contextmanager
def _naming(infos: list[Any]) -> Iterator[None]:
    """Say which environment it was: the one whose ``info`` would come next."""
    try:
        yield
    except WrongGiven as error:
        raise WrongGiven(f"environment {len(infos)} {error}") from None
