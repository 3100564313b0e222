"""Two learning rates, with two seeds each.

``python examples/sweep.py`` does in Python what the command line does by
``python -m lightning_dqn -m module.optimizer.lr=1e-4,1e-3 seed=0,1``.
"""

from functools import partial
from statistics import mean

import torch
from pytorch_lightning import Trainer, seed_everything

from lightning_dqn import DQN, ReplayDataModule
from lightning_dqn.callbacks import EMATargetNetwork


def tested(lr: float, seed: int) -> float:
    """Train on CartPole and return the mean return of the test."""
    seed_everything(seed, verbose=False)
    module = DQN(
        "CartPole-v1",
        network=[{"Linear": 64}, "ReLU"],
        optimizer=partial(torch.optim.Adam, lr=lr),
    )
    data = ReplayDataModule("CartPole-v1", env_steps_per_epoch=1_500, seed=seed)
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[EMATargetNetwork(tau=0.005)],
    )
    trainer.fit(module, data)
    [results] = trainer.test(module, data, verbose=False)
    return results["test/episode_return"]


def main() -> None:
    """Print a line for each learning rate."""
    torch.set_num_threads(1)  # the fastest for networks as small as this
    for lr in (1e-4, 1e-3):
        returns = [tested(lr, seed) for seed in (0, 1)]
        told = ", ".join(f"{one:.1f}" for one in returns)
        print(f"lr={lr:g}: return {mean(returns):.1f} ({told})")


if __name__ == "__main__":
    main()
