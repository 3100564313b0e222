"""Two learning rates, with two seeds each.

``python examples/sweep.py`` does in Python the like of
``python -m lightning_dqn -m module.optimizer.lr=1e-5,1e-3 seed=0,1``.
"""

from functools import partial
from statistics import mean

import torch
from pytorch_lightning import Trainer, seed_everything

from lightning_dqn import DQN, CollectionConfig, LinearSchedule, ReplayConfig, ReplayDataModule
from lightning_dqn.callbacks import EMATargetNetwork


def tested(lr: float, seed: int) -> float:
    """Train on CartPole and return the mean return of the test."""
    seed_everything(seed, verbose=False)
    module = DQN(
        "CartPole-v1",
        network=[{"Linear": 64}, "ReLU"],
        optimizer=partial(torch.optim.Adam, lr=lr),
    )
    data = ReplayDataModule(
        "CartPole-v1",
        updates_per_iteration=25,
        env_steps_per_iteration=50,
        env_steps_per_epoch=2_000,
        replay=ReplayConfig(n_step=10),
        collection=CollectionConfig(epsilon=LinearSchedule(start=1.0, end=0.05, duration=2_000)),
        seed=seed,
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
    return results["test/episode_return"]


def main() -> None:
    """Print a line for each learning rate, and the best one."""
    torch.set_num_threads(1)  # the fastest for networks as small as this
    found = {lr: [tested(lr, seed) for seed in (0, 1)] for lr in (1e-5, 1e-3)}
    for lr, returns in found.items():
        told = ", ".join(f"{one:.1f}" for one in returns)
        print(f"lr={lr:g}: return {mean(returns):.1f} ({told})")
    print(f"the best: lr={max(found, key=lambda lr: mean(found[lr])):g}")


if __name__ == "__main__":
    main()
