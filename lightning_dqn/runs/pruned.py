"""A trial of a search that was given up: what its run's folder says of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lightning_dqn.runs.json_file import read_json
from lightning_dqn.system.files import PRUNED


@dataclass(frozen=True)
class Pruned:
    """Where a run was given up; ``str`` of it is what the terminal shows.

    Attributes:
        env_steps: of the run until then.
        metric: of evaluations, by which it did worse than others.
        value: of that metric.
    """

    env_steps: int
    metric: str
    value: float
    episode_return: None = None

    def __str__(self) -> str:
        return f"pruned at {self.env_steps:,} env steps, {self.metric} {self.value:.4g}"


def read_pruned(run_dir: Path) -> Pruned | None:
    """Return where a run was given up, None if it wasn't.

    Raises:
        ConfigError: its file can't be read.
    """
    path = run_dir / PRUNED
    if not path.is_file():
        return None
    with read_json(path, "where a run was pruned") as saved:
        return Pruned(int(saved["env_steps"]), str(saved["metric"]), float(saved["value"]))
