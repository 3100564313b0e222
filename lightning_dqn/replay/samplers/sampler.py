"""What a sampler is: it chooses which transitions of the ring are learned from, and at what pace.

It has two parts. A *sampling* is what a configuration holds: a frozen dataclass that says how
collecting and learning are paced for it, refuses settings that don't go with it, and makes its
sampler. A *sampler* works over a ring. The data module uses nothing else of them, so your own
needs no change here.

Shapes: E environments, S stacked frames, U updates, B batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from torch import Tensor

from lightning_dqn.replay.ring import ReplayBuffer
from lightning_dqn.system.ranks import ALONE, Ranks
from lightning_dqn.transitions import Transitions, Valuer

Upcoming = Callable[[], tuple[np.ndarray, np.ndarray | None]]
"""Returns the observations [E, *shape] (or [E, S, *shape]) that follow the newest rows, and their
legal actions bool[E, A] or None."""


@dataclass(frozen=True)
class Pace:
    """How collecting and learning take turns.

    Attributes:
        num_envs: E.
        frame_stack: S.
        n_step: as in the ring's configuration; None: the sampler has targets of its own.
        overlap: collecting continues in a thread while learning.
        capacity: rows of the ring.
        batch_size: B.
        updates_per_iteration: U.
        env_steps_per_iteration: env steps collected before the updates.
        warmup_env_steps: env steps collected before the first iteration, and again after a restart
            without the ring.
        sequence_length: K, future steps of each transition; None: none.
    """

    num_envs: int
    frame_stack: int
    n_step: Any
    overlap: bool
    capacity: int
    batch_size: int
    updates_per_iteration: int
    env_steps_per_iteration: int
    warmup_env_steps: int
    sequence_length: int | None = None

    def share(self, ranks: Ranks) -> Pace:
        """Return one rank's share; the attributes here are those of all ranks together.

        Raises:
            ValueError: something can't be divided evenly.
        """
        if not ranks.are_several:
            return self
        pace = self.env_steps_per_iteration
        return replace(
            self,
            num_envs=ranks.even_share("num_envs", self.num_envs),
            batch_size=ranks.even_share("batch_size", self.batch_size),
            env_steps_per_iteration=ranks.even_share("env_steps_per_iteration", pace),
            capacity=self.capacity // ranks.size,
            warmup_env_steps=-(-self.warmup_env_steps // ranks.size),
        )

    def check_capacity(self) -> None:
        """Refuse a ring that may hold no transition, however much is collected.

        Of two successive rows at least one is a start; its successor and the frames before it must
        be stored too.

        Raises:
            ValueError: it names the least capacity.
        """
        least = self.num_envs * (self.frame_stack + 2)
        if self.capacity < least:
            raise ValueError(
                f"replay.capacity={self.capacity}: {self.num_envs} environments with stacks of "
                f"{self.frame_stack} frames need at least {least} rows, "
                f"{self.frame_stack + 2} of each"
            )


@runtime_checkable
class Sampling(Protocol):
    """Settings of a sampler, which make it.

    If its samplers work with several ranks, each of which has a part of the ring and draws its
    part of each minibatch from it, it has a true attribute ``can_be_shared``, see
    :func:`lightning_dqn.system.ranks.can_be_shared`.

    If it keeps something for each row of the ring, it has a method
    ``bytes_beside_ring(num_rows: int) -> int``, see :func:`bytes_beside_ring`.

    Attributes:
        gives_whole_targets: its transitions' reward is the whole target: nothing is bootstrapped.
    """

    gives_whole_targets: bool

    def pace(self, asked: Pace) -> Pace:
        """Return the pace of collecting and learning, given the configured one.

        Raises:
            ValueError: it doesn't support the configured one.
        """
        ...

    def make(self, replay: ReplayBuffer, upcoming: Upcoming) -> Sampler:
        """Return the sampler.

        Args:
            replay: an empty ring.
            upcoming: returns what follows the newest rows.
        """
        ...


class Sampler(ABC):
    """Draws minibatches from a ring.

    Args:
        replay: an empty ring.

    Attributes:
        ranks: ranks that share the ring.
        uses_priorities: whether sampling depends on :meth:`update_priorities`.
        replays: whether transitions are drawn from the whole ring, and may be drawn again.
    """

    uses_priorities = False
    replays = True

    def __init__(self, replay: ReplayBuffer) -> None:
        assert replay.num_rows == 0, "a sampler sees every row that is written"
        self.replay = replay
        self.ranks: Ranks = ALONE

    @abstractmethod
    def sample(
        self, num_updates: int, batch_size: int, env_steps: int, valuer: Valuer
    ) -> Transitions:
        """Return minibatches [U, B, ...].

        Args:
            num_updates: U.
            batch_size: B.
            env_steps: env steps so far, for schedules.
            valuer: values observations with the current weights.

        Raises:
            ValueError: no row is a start yet.
        """

    def update_priorities(self, priority: Tensor) -> None:
        """Set the priorities of the newest sample's transitions, float[U, B].

        Raises:
            RuntimeError: sampling doesn't use priorities.
        """
        raise RuntimeError(f"{type(self).__name__} keeps no priorities")

    def stored_priorities(self, cells: Tensor) -> Tensor | None:
        """Return the stored priorities of cells, int64[M], as float[M]; None if there are none."""
        return None

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs besides the ring's rows, as plain values and tensors."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load what :meth:`state_dict` returned; the ring already holds its rows."""
        assert not state, f"{type(self).__name__} keeps no state"


def bytes_beside_ring(sampling: Sampling, num_rows: int) -> int:
    """Return the bytes that a sampler keeps for ``num_rows`` rows; 0 if it doesn't say."""
    tell = getattr(sampling, "bytes_beside_ring", None)
    return 0 if tell is None else int(tell(num_rows))


def takes_initial_priorities(sampling: Sampling) -> bool:
    """Return whether new transitions are drawn by the priorities in their rows."""
    return bool(getattr(sampling, "takes_initial_priorities", False))


def as_sampling(sampling: Any) -> Sampling:
    """Return a user's argument as a sampling.

    Raises:
        ValueError: it isn't one.
    """
    if isinstance(sampling, type) or not isinstance(sampling, Sampling):
        raise ValueError(
            f"sampler={sampling!r}: choose UniformSampling(), PrioritizedSampling(), "
            "LambdaReturns() or OnlineTransitions() of lightning_dqn.replay.samplers, or an object "
            "of your own with `pace`, `make` and `gives_whole_targets`, see "
            "lightning_dqn.replay.samplers.sampler.Sampling"
        )
    return sampling
