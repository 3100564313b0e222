"""What several ranks collected, or played, as all of them are to know it.

Shapes: N ranks, M episodes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lightning_dqn.collecting.contract import Collected
from lightning_dqn.system.ranks import Ranks
from lightning_dqn.transitions import Episode


def summed_over_ranks(collected: Collected, ranks: Ranks) -> Collected:
    """Return one rank's rows with what is told of the rows of all ranks.

    Env steps, worker restarts and episodes are summed; the exploration rate is this rank's.
    """
    restarts = collected.worker_restarts
    own = torch.tensor(
        [
            collected.env_steps,
            collected.new_env_steps,
            len(collected.episodes),
            restarts or 0,
            restarts is not None,
        ]
    )
    found = ranks.gather(own)
    env_steps, new_env_steps, _, worker_restarts, with_workers = found.sum(dim=0).tolist()
    return collected._replace(
        env_steps=env_steps,
        new_env_steps=new_env_steps,
        episodes=_episodes_of_all(collected.episodes, found[:, 2].tolist(), ranks),
        worker_restarts=worker_restarts if with_workers else None,
    )


def episodes_of_all(episodes: list[Episode], ranks: Ranks) -> list[Episode]:
    """Return the episodes of all ranks, one's after the other's."""
    counts = ranks.gather(torch.tensor(len(episodes))).tolist()
    return _episodes_of_all(episodes, counts, ranks)


def _episodes_of_all(episodes: list[Episode], counts: list[int], ranks: Ranks) -> list[Episode]:
    if not any(counts):
        return []
    rows = torch.tensor([_to_row(one) for one in episodes], dtype=torch.float64).reshape(-1, 4)
    return [_from_row(row) for row in ranks.gather_rows(rows, counts)]


def _to_row(episode: Episode) -> list[float]:
    """Return an episode as numbers; a wrapped return is finite, so NaN stands for none."""
    wrapped = math.nan if episode.wrapped_return is None else episode.wrapped_return
    return [episode.episode_return, episode.episode_length, wrapped, episode.is_cut]


def _from_row(row: Tensor) -> Episode:
    episode_return, length, wrapped, is_cut = row.tolist()
    return Episode(
        episode_return, int(length), None if math.isnan(wrapped) else wrapped, bool(is_cut)
    )
