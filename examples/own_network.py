"""A network of your own: a module from observations to a value for each action.

``python examples/own_network.py`` trains one on CartPole, saves it and builds it again.
"""

import tempfile
from pathlib import Path

import torch
from pytorch_lightning import Trainer, seed_everything
from torch import Tensor, nn

from lightning_dqn import DQN, CollectionConfig, LinearSchedule, ReplayConfig, ReplayDataModule
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
    """Train, test, save, build again, and compare both networks' values."""
    torch.set_num_threads(1)  # the fastest for networks as small as this
    seed_everything(0, verbose=False)
    module = DQN("CartPole-v1", network=Residual(64))
    data = ReplayDataModule(
        "CartPole-v1",
        updates_per_iteration=25,
        env_steps_per_iteration=50,
        env_steps_per_epoch=4_000,
        replay=ReplayConfig(n_step=10),
        collection=CollectionConfig(epsilon=LinearSchedule(start=1.0, end=0.05, duration=3_000)),
    )
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        callbacks=[EMATargetNetwork(tau=0.01)],
    )
    trainer.fit(module, data)
    [results] = trainer.test(module, data, verbose=False)
    print(f"return in the test: {results['test/episode_return']:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "cartpole.ckpt")
        trainer.save_checkpoint(path)
        again = DQN.load_from_checkpoint(path, network=Residual(64))  # code lies in no checkpoint
    observation = torch.tensor([[0.0, 0.1, 0.0, -0.1], [0.0, -1.0, 0.1, 1.0]])
    values, loaded = module.agent.q_values(observation), again.agent.q_values(observation)
    print("values of two observations:", values.round(decimals=2).tolist())
    print("the same once loaded:", torch.equal(values, loaded))


if __name__ == "__main__":
    main()
