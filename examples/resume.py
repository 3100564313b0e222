"""A run that stops and goes on is the run that never stopped, bit for bit.

``python examples/resume.py`` trains two epochs at once, and then one and another.
"""

import tempfile
from pathlib import Path

import torch
from pytorch_lightning import Trainer, seed_everything

from lightning_dqn import DQN, ReplayDataModule
from lightning_dqn.callbacks import EMATargetNetwork


def trained(max_epochs: int, checkpoint: Path | None = None) -> Trainer:
    """Train up to so many epochs, from a checkpoint or from the beginning."""
    seed_everything(0, verbose=False)
    trainer = Trainer(
        max_epochs=max_epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        callbacks=[EMATargetNetwork(tau=0.005)],
    )
    module = DQN("CartPole-v1", network=[{"Linear": 64}, "ReLU"])
    data = ReplayDataModule("CartPole-v1", env_steps_per_epoch=1_000)
    trainer.fit(module, data, ckpt_path=checkpoint)
    return trainer


def main() -> None:
    """Compare the weights of both."""
    torch.set_num_threads(1)  # the fastest for networks as small as this
    whole = trained(2).lightning_module.state_dict()
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder, "one.ckpt")
        trained(1).save_checkpoint(checkpoint)
        parts = trained(2, checkpoint).lightning_module.state_dict()
    is_same = all(torch.equal(parts[name], tensor) for name, tensor in whole.items())
    print("the same weights, bit for bit:", is_same)


if __name__ == "__main__":
    main()
