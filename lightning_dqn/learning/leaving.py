"""How a DQN leaves its training: at the end, or by an exception, of which callbacks alone hear."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl


def leave_training(module: Any) -> None:
    """Keep nothing of a DQN's fit, and give its copies the mode that the next one begins with."""
    module.update.before_step = []
    for name in module.agent.copies:
        module.agent.get_submodule(name).train()


class BreakingOff(pl.Callback):
    """Leaves a DQN whose run is broken off, as by Ctrl-C, so that a fit may go on with it."""

    logs_metrics = False

    def on_exception(self, trainer: pl.Trainer, pl_module: Any, exception: BaseException) -> None:
        """Give layers the mode back that an evaluation took, and keep nothing of the fit."""
        pl_module.unmute()
        if not trainer.training:
            pl_module.leave_evaluation()
        leave_training(pl_module)
