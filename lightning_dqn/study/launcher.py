"""Who runs the jobs of a sweep."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from lightning_dqn.runs.jobs import SweepJob
from lightning_dqn.study.sweep import Sweep

Ended = Callable[[SweepJob, str | None], None]
"""Is told that a job ended, and why it failed; None: it is finished."""


class Launcher(Protocol):
    """Runs the jobs of a sweep."""

    def run(self, sweep: Sweep, jobs: Iterator[SweepJob], ended: Ended) -> None:
        """Run jobs to their end, whether they fail or not; those with a checkpoint go on.

        Args:
            sweep: whose they are.
            jobs: are asked for one by one, when there is room for another.
            ended: see :data:`Ended`.
        """
