"""A fit with a dashboard, for a terminal: ``python live_fit.py [epochs] [how]``."""

import os
import sys
import time
import warnings
from pathlib import Path

import pytorch_lightning as pl

from lightning_dqn import DQN, CollectionConfig, EvaluationConfig, ReplayDataModule
from lightning_dqn.callbacks import EMATargetNetwork, EnvStepProgressBar, LiveDashboard, SafeStop
from lightning_dqn.networks.torsos import MLP
from lightning_dqn.safekeeping.signals import Stopped


class Slowly(pl.Callback):
    """Takes its time over each batch, and prints and fails where it is told to."""

    def __init__(self, how: str) -> None:
        self.how = how

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        time.sleep(0.02)
        if trainer.global_step == 20:
            print("printed by python")
            os.write(2, b"written by os.write\n")
            warnings.warn("a warning in its midst", stacklevel=1)
        if trainer.global_step == 60 and self.how == "fails":
            raise RuntimeError("failed in its midst")
        if trainer.global_step == 60 and self.how == "exits":
            os._exit(3)


def main() -> None:
    """Fit."""
    epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    how = sys.argv[2] if len(sys.argv) > 2 else ""
    pl.seed_everything(0, verbose=False)
    module = DQN("CartPole-v1", network=MLP(hidden=[8]), compile=False)
    data = ReplayDataModule(
        "CartPole-v1",
        batch_size=8,
        updates_per_iteration=1,
        env_steps_per_iteration=8,
        env_steps_per_epoch=800,
        collection=CollectionConfig(warmup_env_steps=64),
        evaluation=EvaluationConfig(num_envs=1, episodes_per_env=1),
    )
    folder = Path.cwd() / "run"
    trainer = pl.Trainer(
        max_epochs=epochs,
        default_root_dir=folder,
        accelerator="cpu",
        logger=False,
        callbacks=[
            LiveDashboard(name="tried"),
            EnvStepProgressBar(),
            EMATargetNetwork(tau=0.1),
            Slowly(how),
            SafeStop(),
        ],
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    checkpoint = folder / "checkpoints" / "last.ckpt"
    try:
        trainer.fit(module, data, ckpt_path=str(checkpoint) if how == "resume" else None)
    except Stopped as stopped:
        print(stopped, stopped.checkpoint is not None)
        sys.exit(stopped.exit_status)
    learned = sum(float(p.detach().double().sum()) for p in module.agent.parameters())
    print(f"fit is over, learned {learned!r}")


if __name__ == "__main__":
    main()
