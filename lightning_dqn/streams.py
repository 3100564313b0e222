"""What Lightning takes for dataloaders: streams of iterations and of evaluation episodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from lightning_dqn.transitions import Episode, Iteration


class TrainStream:
    """The iterations of one epoch; sized, so that Lightning doesn't run one batch ahead.

    Args:
        iterations: begins an epoch.
        length: iterations in it.
    """

    def __init__(self, iterations: Callable[[], Iterator[Iteration]], length: int) -> None:
        self._iterations = iterations
        self._length = length

    def __len__(self) -> int:
        return self._length

    def state_dict(self) -> dict[str, Any]:
        """Return nothing, which tells Lightning that it can go on: the data module's has all."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take that back."""

    def __iter__(self) -> Iterator[Iteration]:
        return self._iterations()


class EvaluationStream:
    """The episodes of one evaluation.

    Args:
        episodes: begins it.
        length: episodes in it.
    """

    def __init__(self, episodes: Callable[[], Iterator[Episode]], length: int) -> None:
        self._episodes = episodes
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Episode]:
        return self._episodes()
