"""Metrics of episodes, as torchmetrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from lightning_dqn.transitions import Episode


class EpisodeStatistic(Metric):
    """Mean, standard deviation and count of one number per episode.

    Args:
        window: only the newest ``window`` episodes count; None counts all since the last reset.

    The state is persistent: it is part of the module's ``state_dict``.
    """

    full_state_update = False
    values: Tensor

    def __init__(self, window: int | None = None) -> None:
        super().__init__()
        if window is not None and window < 1:
            raise ValueError(f"window={window}: at least 1 episode")
        self.window = window
        self.add_state("values", torch.zeros(0, dtype=torch.float32), dist_reduce_fx="cat")
        self.persistent(True)

    def update(self, episodes: Sequence[Episode]) -> None:
        """Count ``episodes``, oldest first."""
        new = torch.tensor(
            [self.value_of(episode) for episode in episodes],
            dtype=torch.float32,
            device=self.values.device,
        )
        values = torch.cat([self.values, new])
        self.values = values if self.window is None else values[-self.window :]

    def compute(self) -> Tensor:
        """Return the mean, NaN where no episode was counted."""
        return self.values.mean()

    def standard_deviation(self) -> Tensor:
        """Return the standard deviation over the episodes (not of their mean)."""
        return self.values.std(correction=0)

    @property
    def num_episodes(self) -> int:
        """How many episodes count."""
        return len(self.values)

    def value_of(self, episode: Episode) -> float:
        """Return the number of one episode."""
        raise NotImplementedError

    def _load_from_state_dict(  # the saved window may have any length
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        saved = state_dict.get(prefix + "values")
        if saved is not None:
            self.values = torch.zeros_like(saved)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


class EpisodeReturn(EpisodeStatistic):
    """Undiscounted return of episodes."""

    def value_of(self, episode: Episode) -> float:
        """Return the episode's return."""
        return episode.episode_return


class EpisodeLength(EpisodeStatistic):
    """Length of episodes in env steps."""

    def value_of(self, episode: Episode) -> float:
        """Return the episode's length."""
        return float(episode.episode_length)
