"""An episode as commands print it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightning_dqn.transitions import Episode


def plain_episode(episode: Episode) -> dict[str, Any]:
    """Return an episode as JSON has it."""
    return {
        "return": float(episode.episode_return),
        "length": int(episode.episode_length),
        "is_cut": episode.is_cut,
    }
