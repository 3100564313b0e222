"""A look at environment 0: what is observed there, and what the network thinks of each action.

It steps nothing, draws no chance and leaves every network in its mode. Shapes: A actions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lightning_dqn.collecting.actor import Actor
from lightning_dqn.data import ReplayDataModule
from lightning_dqn.dqn import DQN
from lightning_dqn.games.environment import BoardGameVectorEnv
from lightning_dqn.live.pictures import (
    as_image,
    board_picture,
    grid_picture,
    image_picture,
    numbers_picture,
)
from lightning_dqn.live.state import Glance, Picture

MOST_NUMBERS = 64
"""Of an observation that is shown as numbers."""


def glance(module: DQN, data: ReplayDataModule, *, colour: bool) -> Glance | None:
    """Return what environment 0 shows at this moment; None where no environment is known.

    Args:
        module: that acts.
        data: that collects.
        colour: whether pictures may have some.
    """
    actor = getattr(data.collector, "actor", None)
    if actor is None or not hasattr(actor, "stacked"):
        return None
    observation = np.array(actor.stacked[0])
    mask = None if actor.action_mask is None else actor.action_mask[0].tolist()
    q_values = module.q_values(observation).float().cpu().tolist()
    episode = actor.episode(0)
    picture = picture_of(actor, colour=colour)
    length, total = episode.episode_length, episode.episode_return
    return Glance(picture, q_values, mask, module.env_steps, length, total)


def picture_of(actor: Actor, *, colour: bool) -> Picture:
    """Return environment 0 as a board, a grid, an image or numbers."""
    environment: Any = actor.environment.unwrapped
    newest = np.array(actor.observation[0])
    if isinstance(environment, BoardGameVectorEnv):
        return board_picture(environment.game.board(environment.state[:1])[0])
    if actor.spec.num_states is not None:
        fields = fields_of(environment, actor.spec.num_states)
        if fields is not None:
            return grid_picture(fields, int(newest))
    image = as_image(newest)
    if image is not None:
        return image_picture(image, colour=colour)
    return numbers_picture(newest.reshape(-1)[:MOST_NUMBERS])


def fields_of(environment: Any, num_states: int) -> np.ndarray | None:
    """Return the fields of a world whose states are those of a grid, str[rows, columns].

    Args:
        environment: a vector environment; the first of those inside it is asked, if there are.
        num_states: of its observations.
    """
    # Gymnasium's grids have attributes of these names; others' may mean something else by them.
    inner = getattr(environment, "envs", None)
    inner = inner[0] if isinstance(inner, list | tuple) else environment
    inner = getattr(inner, "unwrapped", inner)
    drawn = getattr(inner, "desc", None)
    if isinstance(drawn, np.ndarray) and drawn.ndim == 2 and drawn.size == num_states:
        return drawn.astype(str)
    shape: Any = getattr(inner, "shape", None)
    is_grid = isinstance(shape, list | tuple) and len(shape) == 2
    if is_grid and all(isinstance(one, int | np.integer) for one in shape):
        return np.full(shape, ".") if int(np.prod(shape)) == num_states else None
    return None
