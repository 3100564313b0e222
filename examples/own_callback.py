"""A callback of your own: what happens beside learning is Lightning's callbacks.

``python examples/own_callback.py`` ends a run on CartPole as soon as it is good enough.
"""

import torch
from pytorch_lightning import Callback, Trainer, seed_everything

from lightning_dqn import DQN, CollectionConfig, LinearSchedule, ReplayConfig, ReplayDataModule
from lightning_dqn.callbacks import EMATargetNetwork
from lightning_dqn.networks.torsos import MLP


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
    """Train until it is good enough, or for thirty epochs."""
    torch.set_num_threads(1)  # the fastest for networks as small as this
    seed_everything(0, verbose=False)
    module = DQN("CartPole-v1", network=MLP(hidden=[128, 128]))
    data = ReplayDataModule(
        "CartPole-v1",
        updates_per_iteration=25,
        env_steps_per_iteration=50,
        env_steps_per_epoch=500,
        replay=ReplayConfig(n_step=10),
        collection=CollectionConfig(epsilon=LinearSchedule(start=1.0, end=0.05, duration=3_000)),
    )
    trainer = Trainer(
        max_epochs=30,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        num_sanity_val_steps=0,  # nothing is learned yet
        callbacks=[EMATargetNetwork(tau=0.01), StopAt(100.0)],
    )
    trainer.fit(module, data)
    print(f"ended after epoch {trainer.current_epoch} of {trainer.max_epochs}")


if __name__ == "__main__":
    main()
