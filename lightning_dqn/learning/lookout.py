"""Who looks on while a DQN learns: sounds the alarm, tells rows, passes on warnings.

Shapes: U updates, B batch, P parameters, C statistics.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lightning_dqn.learning.warning import TargetsWarning
from lightning_dqn.reporting.alarm import Alarm
from lightning_dqn.reporting.telling import row_is_due, tell_row
from lightning_dqn.system import devices
from lightning_dqn.transitions import Iteration


class Lookout:
    """Looks on after each iteration, reading from an accelerator only when a row is due."""

    def __init__(self) -> None:
        self._alarm = Alarm()
        self._warn_of_targets = TargetsWarning()

    def look(
        self,
        module: Any,
        iteration: Iteration,
        statistics: Tensor,
        priority: Tensor,
        squares: Tensor,
    ) -> None:
        """Note an iteration that was learned from, and log where a row is due.

        Args:
            module: a DQN in whose training step this is.
            iteration: what it learned from.
            statistics: float[U, C], :meth:`UpdateStatistics.stacked` of each update.
            priority: float[U, B].
            squares: float[U, P], the sums of squares of each parameter's gradient.

        Raises:
            NonFiniteError: an update wasn't finite.
        """
        counts = {"updates": module.updates, "env_steps": module.env_steps}
        self._alarm.note(statistics, priority, squares, **counts)
        is_due = row_is_due(module.trainer)
        if is_due or devices.is_read_freely(statistics):
            self.sound_alarm(module)
        if is_due:
            self._tell(module, iteration, statistics)

    def sound_alarm(self, module: Any) -> None:
        """Sound the alarm if an update since the last look wasn't finite.

        Raises:
            NonFiniteError: naming the update.
        """
        self._alarm.check(module.update.network)

    def _tell(self, module: Any, iteration: Iteration, statistics: Tensor) -> None:
        row = module.report.training_row(statistics, iteration, module.env_steps, module.updates)
        row["train/learning_rate"] = float(module.optimizers().param_groups[0]["lr"])
        tell_row(module, {**row, "time/env_steps": module.env_steps})
        self._warn_of_targets(module)
