"""ALE's emulators as they are made here: every option named, each with a seed of its own.

Shapes: E environments.
"""

from __future__ import annotations

import difflib
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from lightning_dqn.environments.atari_protocols import FRAMES_PER_STEP, Protocol

SIZE = 84
"""Height and width of a picture."""

_LARGEST_SEED = 2**31 - 1


def emulator_seeds(seed: int, num_envs: int) -> np.ndarray:
    """Return a seed for each emulator, int64[E], no two alike.

    They are drawn: consecutive ones would let the runs of adjacent seeds share emulators.
    """
    generator = np.random.default_rng(seed)
    return generator.choice(_LARGEST_SEED, size=num_envs, replace=False).astype(np.int64)


def rom_of(game: str) -> str:
    """Return the emulator's name of a game, as ``ms_pacman`` of ``MsPacman``.

    Raises:
        ImportError: ale-py isn't installed.
        ValueError: there is no such game; the closest is named.
    """
    from ale_py import roms

    known = {name.replace("_", ""): name for name in roms.get_all_rom_ids()}
    plain = str(game).replace("_", "").lower()
    if plain not in known:
        near = difflib.get_close_matches(plain, known, n=1)
        hint = f"did you mean {known[near[0]]}?" if near else "see ale_py.roms.get_all_rom_ids()"
        raise ValueError(f"game={game}: there is no such Atari game; {hint}")
    return known[plain]


def emulators(
    rom: str, num_envs: int, protocol: Protocol, max_episode_steps: int, num_threads: int
) -> Any:
    """Return ALE's vector environment; every option is named, for its defaults differ by maker."""
    from ale_py.vector_env import AtariVectorEnv as Emulators

    shared = VectorEnv.metadata  # into which it writes, as if for itself
    before = dict(shared)
    try:
        return Emulators(
            rom,
            num_envs,
            batch_size=0,
            num_threads=num_threads,
            thread_affinity_offset=-1,
            max_num_frames_per_episode=FRAMES_PER_STEP * max_episode_steps,
            repeat_action_probability=protocol.repeat_action_probability,
            full_action_space=protocol.full_action_space,
            continuous=False,
            continuous_action_threshold=0.5,
            autoreset_mode=AutoresetMode.NEXT_STEP,
            img_height=SIZE,
            img_width=SIZE,
            grayscale=True,
            stack_num=1,
            frameskip=FRAMES_PER_STEP,
            maxpool=True,
            noop_max=protocol.noop_max,
            use_fire_reset=protocol.fire,
            episodic_life=False,  # would reset the game
            life_loss_info=False,  # would say terminated where the game goes on
            reward_clipping=False,  # would lose what the game gave
        )
    finally:
        shared.clear()
        shared.update(before)
