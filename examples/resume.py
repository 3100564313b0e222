"""A run that stops and goes on is the run that never stopped, bit for bit.

``python examples/resume.py`` trains two epochs at once, and then one and another.
"""

import tempfile

import torch
from pytorch_lightning import Trainer, seed_everything
from pytorch_lightning.callbacks import ModelCheckpoint

from lightning_dqn import DQN, ReplayDataModule
from lightning_dqn.callbacks import EMATargetNetwork


def trained(max_epochs: int, folder: str, checkpoint: str | None = None) -> Trainer:
    """Train up to so many epochs, from a checkpoint or from the beginning.

    The checkpoint is saved while the run is on: it holds the replay ring, open episodes and
    every generator, which nobody has any more when the run is over.
    """
    seed_everything(0, verbose=False)
    trainer = Trainer(
        max_epochs=max_epochs,
        accelerator="cpu",
        logger=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        callbacks=[
            EMATargetNetwork(tau=0.005),
            ModelCheckpoint(folder, filename="{epoch}", save_on_train_epoch_end=True),
        ],
    )
    module = DQN("CartPole-v1", network=[{"Linear": 64}, "ReLU"])
    data = ReplayDataModule("CartPole-v1", env_steps_per_epoch=1_000)
    trainer.fit(module, data, ckpt_path=checkpoint)
    return trainer


def main() -> None:
    """Compare the weights of both."""
    torch.set_num_threads(1)  # the fastest for networks as small as this
    with tempfile.TemporaryDirectory() as whole, tempfile.TemporaryDirectory() as parts:
        expected = trained(2, whole).lightning_module
        stopped = trained(1, parts)
        print(f"stopped after {stopped.lightning_module.updates} updates")
        found = trained(2, parts, stopped.checkpoint_callback.best_model_path).lightning_module
    print(f"went on to {found.updates} updates")
    weights = found.state_dict()
    same = all(torch.equal(weights[name], one) for name, one in expected.state_dict().items())
    print("the same weights, bit for bit:", same)


if __name__ == "__main__":
    main()
