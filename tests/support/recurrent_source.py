"""A source of rows that carry a recurrent state, which can be worked out from their observations.

The state before each row is that of an episode so far: how many observations there were, and a
fading sum of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from lightning_dqn import CollectionConfig
from lightning_dqn.collecting.contract import Collected
from lightning_dqn.collecting.source import EnvironmentSource
from lightning_dqn.extra_columns import ExtraColumn, zeros
from lightning_dqn.transitions import NO_ACTION, Learner, Rows

COLUMNS = {
    "state": ExtraColumn((2,), "float64"),
    "count": ExtraColumn((), "int64"),
    "hidden": ExtraColumn((1,), "float32", is_learned_from=False),
}


class Recurrence:
    """The states of E environments."""

    def __init__(self, num_envs: int) -> None:
        self.count = np.zeros(num_envs, np.int64)
        self.state = np.zeros((num_envs, 2))

    def follow(self, rows: Rows) -> Rows:
        """Return rows with the states before them."""
        num_times, num_envs = rows.action.shape
        extra = zeros(COLUMNS, num_times, num_envs)
        assert extra is not None
        for time in range(num_times):
            extra["state"][time], extra["count"][time] = self.state, self.count
            extra["hidden"][time] = self.count[:, None] + 0.5
            seen = rows.observation[time].reshape(num_envs, -1)[:, :2]
            self.state, self.count = 0.5 * self.state + seen, self.count + 1
            self.begin(rows.action[time] == NO_ACTION)
        return rows._replace(extra=extra)

    def begin(self, where: Any) -> None:
        """Begin anew."""
        self.count[where], self.state[where] = 0, 0.0


@dataclass(frozen=True, kw_only=True)
class RecurrentCollection(CollectionConfig):
    """Rows of environments here, with states."""

    extra_columns: ClassVar[Any] = COLUMNS

    def make(self, *args: Any, **kwargs: Any) -> Any:
        return RecurrentSource(super().make(*args, **kwargs))


class RecurrentSource:
    """Adds states to what another source gives."""

    def __init__(self, source: EnvironmentSource) -> None:
        self.source, self.num_envs = source, source.num_envs
        self.recurrence = Recurrence(source.num_envs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.source, name)

    def warm_up(self, learner: Learner) -> Iterator[tuple[Rows, int]]:
        for rows, env_steps in self.source.warm_up(learner):
            yield self.recurrence.follow(rows), env_steps

    def collect(self, learner: Learner) -> Collected:
        collected = self.source.collect(learner)
        return collected._replace(rows=self.recurrence.follow(collected.rows))

    def state_dict(self) -> dict[str, Any]:
        own = {"count": self.recurrence.count, "state": self.recurrence.state}
        plain = {name: torch.from_numpy(value.copy()) for name, value in own.items()}
        return {**self.source.state_dict(), "recurrence": plain}

    def load_state_dict(self, state: dict[str, Any]) -> Rows | None:
        plain = state["recurrence"]
        self.recurrence.count = plain["count"].numpy().copy()
        self.recurrence.state = plain["state"].numpy().copy()
        last = self.source.load_state_dict(state)
        if last is None:
            return None
        self.recurrence.begin(slice(None))
        return last._replace(extra=zeros(COLUMNS, *last.action.shape))
