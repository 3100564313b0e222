"""Random and epsilon-greedy actions, vectorised over environments.

Shapes: E environments, A actions.
"""

from __future__ import annotations

import numpy as np


def random_actions(
    num_envs: int, num_actions: int, action_mask: np.ndarray | None, generator: np.random.Generator
) -> np.ndarray:
    """Draw a uniformly random legal action for every environment, int64[E].

    Args:
        num_envs: E.
        num_actions: A.
        action_mask: bool[E, A], True where legal, or None where all are. Where none is legal
            (a finished game's final observation) any action may be drawn.
        generator: the source of chance.
    """
    if action_mask is None:
        return generator.integers(num_actions, size=num_envs)
    # The largest of i.i.d. uniform numbers over the legal actions is uniform among them.
    return np.where(action_mask, generator.random((num_envs, num_actions)), -1.0).argmax(axis=1)


def epsilon_greedy(
    greedy: np.ndarray,
    epsilon: float,
    num_actions: int,
    action_mask: np.ndarray | None,
    generator: np.random.Generator,
) -> np.ndarray:
    """Replace each greedy action by a random legal one with probability ``epsilon``, int64[E]."""
    explores = generator.random(len(greedy)) < epsilon
    random = random_actions(len(greedy), num_actions, action_mask, generator)
    return np.where(explores, random, greedy)
