"""A head of your own: how values are read from a network, and what the error is.

``python examples/own_head.py`` learns CartPole by the logarithm of the error's hyperbolic cosine,
which is square for small errors and linear for large ones without a threshold.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from pytorch_lightning import Trainer
from torch import Tensor

from lightning_dqn import DQN, ReplayDataModule, td
from lightning_dqn.callbacks import EMATargetNetwork
from lightning_dqn.networks.heads.head import HeadLoss
from lightning_dqn.networks.heads.scalar import ScalarHead


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
    module = DQN("CartPole-v1", network=[{"Linear": 64}, "ReLU"], head=LogCoshHead())
    data = ReplayDataModule("CartPole-v1", env_steps_per_epoch=1_500)
    trainer = Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        callbacks=[EMATargetNetwork(tau=0.005)],
    )
    trainer.fit(module, data)
    [results] = trainer.test(module, data, verbose=False)
    print(f"return in the test: {results['test/episode_return']:.1f}")


if __name__ == "__main__":
    main()
