"""What a source of rows is: whoever keeps to it can take the place of ours.

Shapes: E environments, A actions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import numpy as np

from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.extra_columns import NO_COLUMNS, ExtraColumns
from lightning_dqn.transitions import Episode, Learner, Rows


class Collected(NamedTuple):
    """The rows of one iteration, and what is told of them.

    Attributes:
        rows: new to the ring.
        env_steps: so far, these included.
        new_env_steps: since the last iteration.
        epsilon: probability of a random action by now.
        episodes: that ended.
        worker_restarts: so far; None where there are no workers.
        metrics: further ones, by their keys.
    """

    rows: Rows
    env_steps: int
    new_env_steps: int
    epsilon: float
    episodes: list[Episode]
    worker_restarts: int | None = None
    metrics: Mapping[str, float] = MappingProxyType({})


class Reading(Protocol):
    """What a transition is: how far it looks ahead, and what the future is worth."""

    @property
    def reward_clip(self) -> float | None: ...  # noqa: D102

    def gamma_at(self, env_steps: int) -> float:
        """Return the discount of one env step after so many env steps."""
        ...

    def n_step_at(self, env_steps: int) -> tuple[int, int]:
        """Return the shortest and longest chain after so many env steps."""
        ...


class Source(Protocol):
    """Yields rows, wherever they come from.

    One whose :class:`Collection` can be shared by several ranks has a method
    ``share_with(num_ranks: int) -> None``: it counts its own env steps, and follows schedules by
    those of all. One that must know what a transition is has a method
    ``read_as(reading: Reading) -> None``, which is called before its first rows are asked for.

    Attributes:
        num_envs: E, of every row.
        fault: of one that may be lost while the run can still be saved, what is to be raised then;
            others have none.
    """

    num_envs: int

    def warm_up(self, learner: Learner) -> Iterator[tuple[Rows, int]]:
        """Yield the rows that are there before the first iteration, and the env steps by then."""
        ...

    def collect(self, learner: Learner) -> Collected:
        """Return the rows of the next iteration."""
        ...

    def prefetch(self, learner: Learner) -> None:
        """Learning begins: collecting may go on beside it, with the weights of this moment."""
        ...

    def upcoming(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the observations that follow the newest rows, and their legal actions."""
        ...

    def continue_from(self, env_steps: int) -> None:
        """Count from here, for the learner has learned from so many env steps elsewhere."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return what a continued run needs, as plain values and tensors."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> Rows | None:
        """Take back what :meth:`state_dict` gave.

        Returns:
            The rows that end the open episodes as truncated, where they can't go on; None where
            they do.
        """
        ...

    def close(self) -> None:
        """Give back what was taken; may be called more than once."""
        ...


class Collection(Protocol):
    """What a configuration holds of a source, and makes it.

    One whose rows carry more than all rows do declares it by an attribute ``extra_columns``, see
    :func:`extra_columns_of`. One of which each of several ranks may have its own source, with a
    method ``share_with``, tells so by a true attribute ``can_be_shared``, see
    :func:`lightning_dqn.system.ranks.can_be_shared`.

    Attributes:
        warmup_env_steps: before learning starts.
        overlap: rows are collected beside learning, by weights one iteration older.
    """

    @property
    def warmup_env_steps(self) -> int: ...  # noqa: D102

    @property
    def overlap(self) -> bool: ...  # noqa: D102

    def make(
        self,
        environment: EnvironmentFactory,
        *,
        warmup_env_steps: int,
        env_steps_per_iteration: int,
        seed: int,
    ) -> Source:
        """Return the source of rows.

        Args:
            environment: says what rows look like.
            warmup_env_steps: as the sampling needs them.
            env_steps_per_iteration: likewise.
            seed: of all chance in it.
        """
        ...


def extra_columns_of(collection: Collection) -> ExtraColumns:
    """Return the extra columns that a collection's rows carry, ``rows.extra``, by their names.

    Each row that its source gives has all of them: also those that fill up, and those that end
    open episodes when a run goes on, whose extra columns are zeros.
    """
    columns: ExtraColumns = getattr(collection, "extra_columns", NO_COLUMNS)
    return columns
