"""A callback of your own: what happens beside learning is Lightning's callbacks.

``python examples/own_callback.py`` ends a run on CartPole as soon as it is good enough.
"""

import torch
from pytorch_lightning import Callback, Trainer

from lightning_dqn import DQN, ReplayDataModule
from lightning_dqn.callbacks import EMATargetNetwork


class StopAt(Callback):
    """Ends a run after an evaluation whose mean return is high enough.

    Args:
        episode_return: from which it is.
    """

    def __init__(self, episode_return: float) -> None:
        self.episode_return = episode_return

    def on_validation_end(self, trainer: Trainer, pl_module: DQN) -> None:
        """Look at what the evaluation came to."""
        found = float(trainer.callback_metrics["eval/episode_return"])
        print(f"after {pl_module.env_steps:,} env steps: return {found:.1f}")
        trainer.should_stop = found >= self.episode_return


def main() -> None:
    """Train until it is good enough, or for ten epochs."""
    torch.set_num_threads(1)  # the fastest for networks as small as this
    trainer = Trainer(
        max_epochs=10,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        num_sanity_val_steps=0,
        callbacks=[EMATargetNetwork(tau=0.005), StopAt(50.0)],
    )
    module = DQN("CartPole-v1", network=[{"Linear": 64}, "ReLU"])
    trainer.fit(module, ReplayDataModule("CartPole-v1", env_steps_per_epoch=1_000))
    print(f"ended in epoch {trainer.current_epoch}")


if __name__ == "__main__":
    main()
