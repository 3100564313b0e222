"""A head of your own: how values are read from a network, and what the error is.

``python examples/own_head.py`` learns CartPole by the logarithm of the error's hyperbolic cosine,
which is square for small errors and linear for large ones without a threshold.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from pytorch_lightning import Trainer, seed_everything
from torch import Tensor

from lightning_dqn import DQN, CollectionConfig, LinearSchedule, ReplayConfig, ReplayDataModule, td
from lightning_dqn.callbacks import EMATargetNetwork
from lightning_dqn.networks.heads.head import HeadLoss
from lightning_dqn.networks.heads.scalar import ScalarHead
from lightning_dqn.networks.torsos import MLP


@dataclass(frozen=True)
class LogCoshHead(ScalarHead):
    """One output per action, as in a scalar head, and another error."""

    def loss(
        self, prediction: Tensor, reward: Tensor, discount: Tensor, bootstrap: Tensor
    ) -> HeadLoss:
        """Return log cosh of the TD error, float[B]."""
        td_error = td.td_target(reward, discount, bootstrap) - prediction
        size = td_error.abs()
        loss = size + F.softplus(-2 * size) - math.log(2)  # of large errors cosh would overflow
        return HeadLoss(loss, prediction, td_error, size)


def main() -> None:
    """Train, and print what the test comes to."""
    torch.set_num_threads(1)  # the fastest for networks as small as this
    seed_everything(0, verbose=False)
    module = DQN("CartPole-v1", network=MLP(hidden=[128, 128]), head=LogCoshHead())
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


if __name__ == "__main__":
    main()
