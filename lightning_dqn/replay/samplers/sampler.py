"""Who chooses what of the replay ring is learned from.

Shapes: U updates, B batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from lightning_dqn.replay.ring import ReplayBuffer
from lightning_dqn.transitions import Transitions, Valuer


class Sampler(ABC):
    """Draws minibatches from a ring.

    Args:
        replay: an empty ring.

    Attributes:
        uses_priorities: sampling goes by what :meth:`update_priorities` is given.
    """

    uses_priorities = False

    def __init__(self, replay: ReplayBuffer) -> None:
        assert replay.num_rows == 0, "a sampler sees every row that is written"
        self.replay = replay

    @abstractmethod
    def sample(
        self, num_updates: int, batch_size: int, env_steps: int, valuer: Valuer
    ) -> Transitions:
        """Return minibatches [U, B, ...].

        Args:
            num_updates: U.
            batch_size: B.
            env_steps: so far, for schedules.
            valuer: values observations with the weights of this moment.

        Raises:
            ValueError: no row is a start yet.
        """

    def update_priorities(self, priority: Tensor) -> None:
        """Take what there was to learn from the newest sample's transitions, float[U, B].

        Raises:
            RuntimeError: sampling doesn't go by that.
        """
        raise RuntimeError(f"{type(self).__name__} keeps no priorities")
