"""Atari games from pixels, by the Arcade Learning Environment's own vector environment.

Single frames come out of it: replay and acting stack them. Rewards come as the game gives them.
Shapes: E environments.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any, get_args

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from lightning_dqn.environments.atari_emulators import (
    SIZE,
    emulator_seeds,
    emulators,
    rom_of,
)
from lightning_dqn.environments.atari_protocols import (
    FRAMES_PER_STEP,
    MAX_EPISODE_STEPS,
    PROTOCOLS,
    ProtocolName,
)
from lightning_dqn.environments.spec import LIFE_LOST
from lightning_dqn.system.numbers import whole_number


class AtariVectorEnv(VectorEnv):
    """E games of one kind, in NEXT_STEP mode: observations uint8[E, 84, 84], gray.

    A game that is cut after ``max_episode_steps`` is truncated. Where the protocol has learning end
    with a life, ``info["life_lost"]`` bool[E] tells of one lost in the step, also of the last; the
    game goes on. Nothing else is in ``info``.

    Args:
        num_envs: E.
        game: as ``"MsPacman"`` or ``"ms_pacman"``.
        protocol: see :data:`lightning_dqn.environments.atari_protocols.PROTOCOLS`.
        max_episode_steps: env steps after which a game is cut; those frames don't count that begin
            it.
        full_action_space: all 18 actions, or those of the game alone; None: as the protocol has it.
        num_threads: that run the emulators; 0: one for each of them, at most as many as cores.
        render_mode: ``"rgb_array"``: :meth:`render` gives what the agent sees; or None.

    Raises:
        ImportError: ale-py isn't installed.
        ValueError: there is no such game, protocol or render mode.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 - gymnasium's; its own dict, see __init__
        "render_modes": ["rgb_array"],
        "render_fps": 60 // FRAMES_PER_STEP,
        "resume": "restart",  # the emulators can't be asked for their state
    }

    def __init__(
        self,
        num_envs: int = 1,
        *,
        game: str,
        protocol: ProtocolName = "sticky",
        max_episode_steps: int = MAX_EPISODE_STEPS,
        full_action_space: bool | None = None,
        num_threads: int = 0,
        render_mode: str | None = None,
    ) -> None:
        if protocol not in PROTOCOLS:
            names = ", ".join(get_args(ProtocolName))
            raise ValueError(f"protocol={protocol!r}: choose one of {names}")
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode={render_mode!r}: rgb_array, or null")
        chosen = PROTOCOLS[protocol]
        if full_action_space is not None:
            chosen = replace(chosen, full_action_space=full_action_space)
        self.protocol = chosen
        self.num_envs = num_envs
        self.render_mode = render_mode
        # Others of the process write into the dict of the class that they share.
        self.metadata = {
            **type(self).metadata,
            "autoreset_mode": AutoresetMode.NEXT_STEP,
            "evaluation_epsilon": chosen.evaluation_epsilon,
        }
        limit = whole_number("max_episode_steps", max_episode_steps, least=1)
        threads = whole_number("num_threads", num_threads)
        self._games: Any = emulators(rom_of(game), num_envs, chosen, limit, threads)
        self._made_by = os.getpid()
        self._is_seeded = False
        self._lives = np.zeros(num_envs, np.int64)
        self._ended = np.zeros(num_envs, bool)
        self._newest = np.zeros((num_envs, SIZE, SIZE), np.uint8)
        self.single_observation_space = gym.spaces.Box(0, 255, (SIZE, SIZE), np.uint8)
        self._num_actions = int(self._games.single_action_space.n)
        self.single_action_space = gym.spaces.Discrete(self._num_actions)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin a game in every environment.

        Args:
            seed: of all of them, from which each draws its own; None: they go on with their chance,
                which is drawn where it never was.
            options: none are known.
        """
        self._check_runs()
        if seed is None and not self._is_seeded:
            seed = int(np.random.SeedSequence().generate_state(1)[0])  # alike where nobody seeds
        seeds = None if seed is None else emulator_seeds(seed, self.num_envs)
        observation, info = self._games.reset(seed=seeds)
        self._is_seeded = True
        self._lives = info["lives"]
        self._ended = np.zeros(self.num_envs, bool)
        self._newest = observation[:, 0]
        return self._newest, self._info(np.zeros(self.num_envs, bool))

    def step(
        self, actions: Any
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Hold each action for four frames; where a game ended, begin another instead.

        Args:
            actions: int[E], from 0.

        Raises:
            ValueError: an action is none of the game's, or the emulators can't be reached.
        """
        self._check_runs()
        observation, reward, terminated, truncated, info = self._games.step(self._checked(actions))
        lives = info["lives"]
        # Not "and some are left": in BankHeist none is while the game goes on.
        life_lost = (lives < self._lives) & ~self._ended
        self._lives, self._ended = lives, terminated | truncated
        self._newest = observation[:, 0]
        info = self._info(life_lost)
        return self._newest, reward.astype(np.float32), terminated, truncated, info

    def render(self) -> tuple[np.ndarray, ...]:
        """Return what the agent sees in each environment, E times uint8[84, 84, 3]."""
        return tuple(np.repeat(picture[..., None], 3, axis=2) for picture in self._newest)

    def close_extras(self, **kwargs: Any) -> None:
        """End the emulators and their threads, which live as long as they are held."""
        self._games = None

    def _info(self, life_lost: np.ndarray) -> dict[str, Any]:
        return {LIFE_LOST: life_lost} if self.protocol.life_ends else {}

    def _checked(self, actions: Any) -> np.ndarray:
        """Return the actions, for one that the emulator doesn't know would hang for ever."""
        values, count = np.asarray(actions), self._num_actions
        if values.shape != (self.num_envs,) or values.dtype.kind not in "iu":
            raise ValueError(
                f"actions={values.dtype}{list(values.shape)}: expected whole numbers "
                f"[{self.num_envs}], one for each environment"
            )
        if values.min() < 0 or values.max() >= count:
            wrong = int(np.flatnonzero((values < 0) | (values >= count))[0])
            raise ValueError(
                f"actions[{wrong}]={values[wrong]}: this game has the actions 0 to {count - 1}"
            )
        return values.astype(np.int64, copy=False)

    def _check_runs(self) -> None:
        """Refuse what would wait for ever for threads that aren't there."""
        if self._games is None:
            raise ValueError("this Atari environment is closed; make another one")
        if self._made_by != os.getpid():
            raise ValueError(
                "this Atari environment was made in another process, whose threads a fork leaves "
                "behind; make it in the process that steps it"
            )
