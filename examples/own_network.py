"""A network of your own: a module from observations to a value for each action.

``python examples/own_network.py`` trains one on CartPole, saves it and builds it again.
"""

import tempfile
from pathlib import Path

import torch
from pytorch_lightning import Trainer
from torch import Tensor, nn

from lightning_dqn import DQN, ReplayDataModule
from lightning_dqn.callbacks import EMATargetNetwork


class Residual(nn.Module):
    """Layers that add to what came in.

    Args:
        width: of the layers between.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(4, width)
        self.middle = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        self.last = nn.Linear(width, 2)

    def forward(self, observation: Tensor) -> Tensor:
        """Return float[B, 2] for float[B, 4]."""
        hidden = torch.relu(self.first(observation))
        return self.last(torch.relu(hidden + self.middle(hidden)))


def main() -> None:
    """Train, save, build again, and print both networks' values of one observation."""
    torch.set_num_threads(1)  # the fastest for networks as small as this
    module = DQN("CartPole-v1", network=Residual(64))
    trainer = Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        callbacks=[EMATargetNetwork(tau=0.005)],
    )
    trainer.fit(module, ReplayDataModule("CartPole-v1", env_steps_per_epoch=1_500))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "cartpole.ckpt")
        trainer.save_checkpoint(path)
        again = DQN.load_from_checkpoint(path, network=Residual(64))
    observation = torch.tensor([0.0, 0.1, 0.0, -0.1])
    print("values as learned:", module.agent.q_values(observation).tolist())
    print("values as loaded: ", again.agent.q_values(observation).tolist())


if __name__ == "__main__":
    main()
