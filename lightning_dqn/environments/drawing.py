"""What environments show: pictures, text, windows.

Shapes: E environments.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
from gymnasium.vector import SyncVectorEnv, VectorEnv

from lightning_dqn.system.faults import first_line

PICTURES = "rgb_array"
"""The render mode whose frames make videos."""


def draw(environment: VectorEnv, indices: Sequence[int], name: str) -> list[Any]:
    """Return what some of E environments show at this moment: pictures, text, or None.

    Those that are stepped in turn are drawn one by one; a native one draws all of its own.

    Args:
        environment: made with a render mode.
        indices: which of them.
        name: how messages call it.

    Raises:
        ValueError: a package is missing by which it is drawn.
    """
    inner: Any = environment.unwrapped
    try:
        if isinstance(inner, SyncVectorEnv):
            return [inner.envs[index].render() for index in indices]
        shown: Any = environment.render()
    except (ImportError, gym.error.DependencyNotInstalled) as error:
        reason = first_line(error)
        raise ValueError(f"{name} can't be shown: {reason}") from error
    is_of_each = isinstance(shown, tuple | list) and len(shown) == environment.num_envs
    return [shown[index] if is_of_each else shown for index in indices]


def render_modes(environment: VectorEnv) -> list[str]:
    """Return what environments can be shown as."""
    return list(environment.metadata.get("render_modes") or [])


def render_fps(environment: VectorEnv) -> float | None:
    """Return the frames per second that environments ask for; None where they don't say."""
    fps = environment.metadata.get("render_fps")
    return float(fps) if fps else None


def check_gives_pictures(environment: VectorEnv, name: str) -> None:
    """Refuse an environment of which no video can be made.

    Raises:
        ValueError: naming the render modes that it has.
    """
    modes = render_modes(environment)
    if PICTURES not in modes:
        raise ValueError(f"{name} gives no pictures (render mode {PICTURES}): {modes_text(modes)}")


def quiet_drawing(*, has_window: bool) -> None:
    """Let pygame and SDL print nothing, and look for no screen where none is drawn on."""
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    os.environ.setdefault("SDL_AUDIODRIVER", "dummy")
    if not has_window:
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")


def modes_text(modes: Sequence[str]) -> str:
    """Return which render modes there are, in words."""
    return f"its render modes are {', '.join(modes)}" if modes else "it has no render mode at all"
