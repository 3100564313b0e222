"""Metrics of episodes, as torchmetrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from lightning_dqn.transitions import Episode


class EpisodeStatistic(Metric):
    """Mean, standard deviation and count of one number per episode.

    Args:
        window: only the newest ``window`` episodes count; None counts all since the last reset.
        persistent: the state is part of the module's ``state_dict``.

    The numbers are float64 and stay on the CPU, where they are made and read.
    """

    full_state_update = False
    values: Tensor

    def __init__(self, window: int | None = None, *, persistent: bool = True) -> None:
        # All ranks are told of all episodes; torchmetrics would gather them once more.
        super().__init__(sync_on_compute=False)
        if window is not None and window < 1:
            raise ValueError(f"window={window}: at least 1 episode")
        self.window = window
        self.add_state("values", torch.zeros(0, dtype=torch.float64), dist_reduce_fx="cat")
        self.persistent(persistent)

    def update(self, episodes: Sequence[Episode]) -> None:
        """Count ``episodes``, oldest first."""
        new = torch.tensor(
            [self.value_of(episode) for episode in episodes],
            dtype=torch.float64,
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

    def _apply(self, fn: Callable[..., Any], exclude_state: Sequence[str] = ()) -> Any:
        return super()._apply(fn, exclude_state=[*exclude_state, "values"])

    def _load_from_state_dict(  # the saved window may have any length, type and place
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
        self.values = self.values.double().cpu()


class EpisodeReturn(EpisodeStatistic):
    """Undiscounted return of episodes."""

    def value_of(self, episode: Episode) -> float:
        """Return the episode's return."""
        return episode.episode_return


class WrappedReturn(EpisodeStatistic):
    """Undiscounted return of episodes as wrappers made it, of those that wrappers stand before."""

    def update(self, episodes: Sequence[Episode]) -> None:
        """Count ``episodes``, oldest first."""
        super().update([episode for episode in episodes if episode.wrapped_return is not None])

    def value_of(self, episode: Episode) -> float:
        """Return the episode's return as it is learned from."""
        assert episode.wrapped_return is not None
        return episode.wrapped_return


class EpisodeLength(EpisodeStatistic):
    """Length of episodes in env steps."""

    def value_of(self, episode: Episode) -> float:
        """Return the episode's length."""
        return float(episode.episode_length)
