"""What a dashboard shows of a run at one moment, and what of it the user chose to see."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from lightning_dqn.live.history import History
from lightning_dqn.live.plots import Band

Phase = Literal["starting", "warm-up", "training", "evaluation", "paused", "stopping"]

Picture = list[list[tuple[str, str]]]
"""Lines of pieces of text, each with its style."""


class Glance(NamedTuple):
    """One environment at one moment.

    Attributes:
        picture: of what is observed there.
        q_values: float[A], of the evaluation network.
        legal: bool[A]; None where all actions are.
        env_steps: of the run when it was taken.
        episode_length: env steps of the episode so far.
        episode_return: so far.
    """

    picture: Picture
    q_values: list[float]
    legal: list[bool] | None
    env_steps: int
    episode_length: int
    episode_return: float


@dataclass
class State:
    """A run as it is known; the training thread writes, the one that draws reads.

    Attributes:
        name: of the experiment.
        device: that learns.
        folder: of the run.
        phase: what happens now.
        epoch: from 0.
        epochs: how many there will be; None: without end.
        epoch_env_steps: env steps of this epoch so far, and how many it has.
        env_steps: of the run.
        total_env_steps: at its end; None: without end.
        updates: so far.
        fill: share of the ring that is filled; None: not known.
        speed: env steps per second of wall time.
        updates_speed: updates per second.
        history: of all metrics.
        bands: of the other seeds of a study, by metric.
        glance: at environment 0; None where it isn't to be seen.
        glance_reason: why not.
        tunable: hyper-parameters that keys change, by name, with their values.
        changed: what the user has changed, as lines.
        message: what the last key came to.
        log: the newest lines that were printed.
    """

    name: str = ""
    device: str = ""
    folder: str = ""
    phase: Phase = "starting"
    epoch: int = 0
    epochs: int | None = None
    epoch_env_steps: tuple[int, int] = (0, 1)
    env_steps: int = 0
    total_env_steps: int | None = None
    updates: int = 0
    fill: float | None = None
    speed: float = 0.0
    updates_speed: float = 0.0
    history: History = field(default_factory=History)
    bands: dict[str, Band] = field(default_factory=dict)
    glance: Glance | None = None
    glance_reason: str = "nothing seen yet"
    tunable: dict[str, float] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    message: str = ""
    log: list[str] = field(default_factory=list)

    @property
    def seconds_left(self) -> float | None:
        """Time to the end at this speed; None where that isn't known."""
        if self.total_env_steps is None or self.speed <= 0:
            return None
        return max(self.total_env_steps - self.env_steps, 0) / self.speed
