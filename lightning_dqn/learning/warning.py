"""What a run is warned of while it learns, once each."""

from __future__ import annotations

from typing import Any

from pytorch_lightning.utilities import rank_zero_warn

from lightning_dqn.learning.looking import looking_on


def warn_of_still_target(module: Any) -> None:
    """Warn of a target network that nothing moves."""
    moved = [getattr(operation, "network", None) for operation in module.after_update]
    if "target_network" not in moved:
        rank_zero_warn(
            "nothing moves the target network: add EMATargetNetwork(tau=0.005) from "
            "lightning_dqn.callbacks to the Trainer's callbacks"
        )


class TargetsWarning:
    """Passes on once what the head of a DQN has to say of its targets."""

    def __init__(self) -> None:
        self._is_said = False

    def __call__(self, module: Any) -> None:
        """Look at the targets of the newest minibatch."""
        head, batch = module.agent.head, module.minibatch
        if not head.judges_targets or batch is None or self._is_said:
            return
        with looking_on(module):
            output = module.agent.q_network(batch.observation)
            reward, bootstrap = module.bootstrap(batch, output)
        warning = head.judge_targets(reward, batch.discount, bootstrap)
        if warning is not None:
            self._is_said = True
            rank_zero_warn(warning)
