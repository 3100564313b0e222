"""Lightning callbacks: what may act on a run while ``Trainer.fit`` drives it."""

from lightning_dqn.callbacks.progress import EnvStepProgressBar
from lightning_dqn.callbacks.target_network import EMATargetNetwork

__all__ = ["EMATargetNetwork", "EnvStepProgressBar"]
