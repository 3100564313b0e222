"""Atari games as a command line names them: by game and protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning_dqn.environments.atari_protocols import ProtocolName
from lightning_dqn.environments.factory import EnvironmentFactory


def atari(
    id: str,
    *,
    game: str,
    protocol: ProtocolName = "sticky",
    num_envs: int = 8,
    frame_stack: int = 4,
    full_action_space: bool | None = None,
    num_threads: int = 0,
    kwargs: Mapping[str, Any] | None = None,
) -> EnvironmentFactory:
    """Return what makes the environments of one game, single frames that are stacked here.

    Args:
        id: ``Atari/<game>-v0``.
        game: the same game, as ``Pong`` or ``MsPacman``.
        protocol: see :data:`lightning_dqn.environments.atari_protocols.PROTOCOLS`.
        num_envs: E, how many games the training plays at once.
        frame_stack: S, the number of newest frames that one observation holds.
        full_action_space: see :class:`lightning_dqn.environments.atari.AtariVectorEnv`.
        num_threads: likewise.
        kwargs: further arguments of it.

    Raises:
        ValueError: the id is that of another game.
    """
    if id != f"Atari/{game}-v0":
        raise ValueError(f"id={id}: the game is {game}; leave the id to it, and set game alone")
    given = {
        "protocol": protocol,
        "full_action_space": full_action_space,
        "num_threads": num_threads,
        **(kwargs or {}),
    }
    return EnvironmentFactory(id, num_envs=num_envs, frame_stack=frame_stack, kwargs=given)
