"""Interface of a source of rows: a source of your own that implements it can replace ours.

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
    """The rows of one iteration, and what is logged about them.

    Attributes:
        rows: new to the ring.
        env_steps: env steps so far, including these.
        new_env_steps: env steps since the last iteration.
        epsilon: current probability of a random action.
        episodes: episodes that ended.
        worker_restarts: restarts so far; None without workers.
        metrics: further metrics, by their keys.
    """

    rows: Rows
    env_steps: int
    new_env_steps: int
    epsilon: float
    episodes: list[Episode]
    worker_restarts: int | None = None
    metrics: Mapping[str, float] = MappingProxyType({})


class Reading(Protocol):
    """What a transition is: its n-step length, and its discount."""

    @property
    def reward_clip(self) -> float | None: ...  # noqa: D102

    def gamma_at(self, env_steps: int) -> float:
        """Return the discount of one env step after ``env_steps`` env steps."""
        ...

    def n_step_at(self, env_steps: int) -> tuple[int, int]:
        """Return the smallest and largest n after ``env_steps`` env steps."""
        ...


class Source(Protocol):
    """Yields rows, wherever they come from.

    If several ranks can share its :class:`Collection`, it has a method
    ``share_with(num_ranks: int) -> None``: it then counts its own env steps, and follows schedules
    by those of all ranks. If it must know what a transition is, it has a method
    ``read_as(reading: Reading) -> None``, which is called before its first rows are asked for.

    Attributes:
        num_envs: E, of every row.
        fault: for a source that may fail while the run can still be saved, the exception to raise
            then; others don't have it.
    """

    num_envs: int

    def warm_up(self, learner: Learner) -> Iterator[tuple[Rows, int]]:
        """Yield the rows before the first iteration, each time with the env steps so far."""
        ...

    def collect(self, learner: Learner) -> Collected:
        """Return the rows of the next iteration."""
        ...

    def prefetch(self, learner: Learner) -> None:
        """Called as learning begins: collecting may continue beside it, with current weights."""
        ...

    def upcoming(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the observations that follow the newest rows, and their legal actions."""
        ...

    def continue_from(self, env_steps: int) -> None:
        """Count from ``env_steps``, which the learner has already learned from elsewhere."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return what a continued run needs, as plain values and tensors."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> Rows | None:
        """Load what :meth:`state_dict` returned.

        Returns:
            The rows that end the open episodes as truncated if they can't continue; None if they
            do.
        """
        ...

    def close(self) -> None:
        """Release all resources; may be called more than once."""
        ...


class Collection(Protocol):
    """Settings of a source, which make it.

    If its rows have extra columns, it declares them in an attribute ``extra_columns``, see
    :func:`extra_columns_of`. If each of several ranks may have its own source, with a method
    ``share_with``, it has a true attribute ``can_be_shared``, see
    :func:`lightning_dqn.system.ranks.can_be_shared`.

    Attributes:
        warmup_env_steps: env steps before learning starts.
        overlap: rows are collected during learning, with weights one iteration older.
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
            environment: describes the rows.
            warmup_env_steps: as the sampling needs them.
            env_steps_per_iteration: as the sampling needs them.
            seed: of everything random in it.
        """
        ...


def extra_columns_of(collection: Collection) -> ExtraColumns:
    """Return the extra columns of a collection's rows, ``rows.extra``, by their names.

    Every row from its source has all of them, also rows that fill up, and rows that end open
    episodes when a run continues, whose extra columns are zeros.
    """
    columns: ExtraColumns = getattr(collection, "extra_columns", NO_COLUMNS)
    return columns
