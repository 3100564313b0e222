"""Learning from the newest rollout only, without replay.

Shapes: T time indices, E environments.
"""

from __future__ import annotations

from abc import ABC
from dataclasses import replace
from typing import Any

from torch import Tensor

from lightning_dqn.replay.ring import ReplayBuffer
from lightning_dqn.replay.samplers.sampler import Pace, Sampler
from lightning_dqn.transitions import NO_ACTION


class RolloutSampler(Sampler, ABC):
    """Serves only what was collected since the last sample.

    Args:
        replay: a ring that holds an iteration, including rows of final observations.
    """

    replays = False

    def __init__(self, replay: ReplayBuffer) -> None:
        super().__init__(replay)
        self._new_times = 0
        replay.after_write.append(self._count_write)

    def take_new_times(self) -> int:
        """Return how many times were written since the last call."""
        taken, self._new_times = self._new_times, 0
        return taken

    def starts_among(self, cells: Tensor) -> Tensor:
        """Return which of the cells, int64[T, E], are starts, bool[T, E].

        Raises:
            ValueError: none is.
        """
        is_start = self.replay.read("action", cells) != NO_ACTION
        if not is_start.any():
            raise ValueError("the replay ring holds no transition yet: collect some rows first")
        return is_start

    def state_dict(self) -> dict[str, Any]:
        """Return how many times have not been served yet."""
        return {"new_times": self._new_times}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it back."""
        self._new_times = state["new_times"]

    def _count_write(self, begin: int, end: int) -> None:
        self._new_times += end - begin


def rollout_pace(asked: Pace, length: int) -> Pace:
    """Return the pace of learning from one rollout at a time, for a ring that holds it.

    Args:
        asked: see :meth:`lightning_dqn.replay.samplers.sampler.Sampling.pace`.
        length: env steps of each environment in a rollout.

    Raises:
        ValueError: sequences are asked for, whose future steps aren't collected yet.
    """
    if asked.sequence_length is not None:
        raise ValueError(
            f"replay.sequence_length={asked.sequence_length}: learning from the newest rollout "
            "has no steps to come beside its transitions; set sequence_length=null or sample "
            "from replay"
        )
    # Up to every second row of an environment may hold a final observation; two more for the
    # warm-up's or the row before, and the frames that the oldest row is stacked with.
    most_times = 2 * length + 2 + asked.frame_stack
    return replace(
        asked,
        capacity=most_times * asked.num_envs,
        env_steps_per_iteration=length * asked.num_envs,
    )
