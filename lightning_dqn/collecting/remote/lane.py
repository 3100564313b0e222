"""The rows of one actor, between their arrival and the ring.

Shapes: T time, E environments of the actor.
"""

from __future__ import annotations

from collections import deque

from lightning_dqn.collecting.final_rows import final_rows
from lightning_dqn.collecting.remote.block import Block, Following
from lightning_dqn.collecting.remote.parts import following_of, nothing_yet, times_of
from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.extra_columns import NO_COLUMNS, ExtraColumns, check_extra
from lightning_dqn.transitions import Episode, Rows, joined, truncated_by


class Lane:
    """Keeps an actor's rows in order, and fills up where it has none because it was lost.

    Args:
        spec: of the rows.
        num_envs: E.
        extra_columns: that they carry.

    Attributes:
        is_absent: the actor was lost, and nothing has come from the one in its place.
        epsilon: of its newest block.
        worker_restarts: in the actor and in those before it; None where there are no workers.
    """

    def __init__(
        self, spec: EnvironmentSpec, num_envs: int, extra_columns: ExtraColumns = NO_COLUMNS
    ) -> None:
        self._spec, self._extra_columns = spec, extra_columns
        self._parts: deque[tuple[Rows, int | None]] = deque()
        self._last = nothing_yet(spec, num_envs)
        self._times_put = 0
        self._episodes: list[Episode] = []
        self._restarts_before = 0
        self.is_absent = False
        self.epsilon = 1.0
        self.worker_restarts: int | None = None

    @property
    def waiting(self) -> int:
        """Times T that wait."""
        return sum(len(rows.action) for rows, _ in self._parts)

    @property
    def oldest_weights(self) -> int | None:
        """The env steps at which the weights of the oldest rows waiting were sent."""
        return self._parts[0][1] if self._parts else None

    @property
    def following(self) -> Following:
        """What follows the rows that were taken."""
        if not self._parts:
            return self._last
        rows = self._parts[0][0]
        mask = None if rows.action_mask is None else rows.action_mask[0]
        return following_of(self._spec, rows.observation[0], mask)

    def put(self, block: Block) -> None:
        """Keep the rows of a block that are new.

        Raises:
            ValueError: they don't follow those of the block before, or their extra columns aren't
                those that were declared.
        """
        check_extra(block.rows.extra, self._extra_columns, *block.rows.action.shape)
        rows = self._new_rows(block)
        if len(rows.action):
            self._parts.append((rows, block.weights_env_steps))
        self._episodes += block.episodes
        self._last, self.epsilon, self.is_absent = block.following, block.epsilon, False
        if block.worker_restarts is not None:
            self.worker_restarts = self._restarts_before + block.worker_restarts

    def take(self, num_times: int) -> Rows:
        """Return the oldest rows, [num_times, E]; filled up where the actor is absent."""
        parts: list[Rows] = []
        missing = num_times
        while missing and self._parts:
            rows, weights = self._parts.popleft()
            if len(rows.action) > missing:
                self._parts.appendleft((times_of(rows, missing, len(rows.action)), weights))
                rows = times_of(rows, 0, missing)
            parts.append(rows)
            missing -= len(rows.action)
        assert not missing or self.is_absent, "whoever takes waits for so many"
        if missing or not parts:
            parts.append(self._final_rows(missing))
        return joined(parts, axis=0)

    def take_episodes(self) -> list[Episode]:
        """Return the episodes that ended since the last call."""
        episodes, self._episodes = self._episodes, []
        return episodes

    def cut(self) -> None:
        """End the open episodes as truncated: no row will follow those that are here."""
        if self.is_absent:
            return
        self.is_absent = True
        self._times_put = 0  # another actor counts anew
        self._restarts_before = self.worker_restarts or 0
        last = self._final_rows(1)
        if not self._parts:  # the row before is in the ring, which sees that it ended here
            self._parts.append((last, None))
            return
        rows, weights = self._parts.pop()
        self._parts.append((truncated_by(rows, last), weights))

    def begin_at(self, following: Following) -> None:
        """Go on after rows that came before."""
        self._last = following

    def _new_rows(self, block: Block) -> Rows:
        """Return the rows of a block that were in none before."""
        num_times, repeated, before = len(block.rows.action), block.num_repeated, self._times_put
        if not 0 <= repeated <= num_times or block.first_time + repeated != before:
            raise ValueError(
                f"block: its {num_times} times from {block.first_time} on, of which num_repeated="
                f"{repeated} were in the block before, don't follow the {before} that have come; "
                "send the times in between, and say how many are repeated"
            )
        self._times_put += num_times - repeated
        return times_of(block.rows, repeated, num_times) if repeated else block.rows

    def _final_rows(self, num_times: int) -> Rows:
        observation, _, mask = self._last
        return final_rows(self._spec, observation, mask, num_times, self._extra_columns)
