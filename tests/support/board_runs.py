"""Short runs on tic-tac-toe: 2 iterations of 64 env steps and 2 updates an epoch."""

from __future__ import annotations

from typing import Any

import torch

from lightning_dqn import (
    DQN,
    CollectionConfig,
    EnvironmentFactory,
    EvaluationConfig,
    ReplayConfig,
    ReplayDataModule,
)
from support.switches import switched_dqn

ID = "lightning_dqn/TicTacToe-v0"


def board_data(
    *,
    gamma: float | None = None,
    overlap: bool = False,
    evaluation: EnvironmentFactory | None = None,
    **kwargs: Any,
) -> Any:
    """Return data of 8 boards; ``kwargs`` are those of the environment."""
    sign = 1.0 if kwargs.get("opponent") is not None else -1.0
    return ReplayDataModule(
        EnvironmentFactory(ID, num_envs=8, kwargs=kwargs),
        batch_size=16,
        updates_per_iteration=2,
        env_steps_per_iteration=64,
        env_steps_per_epoch=128,
        replay=ReplayConfig(capacity=2_000, gamma=sign if gamma is None else gamma),
        collection=CollectionConfig(warmup_env_steps=64, overlap=overlap),
        evaluation=EvaluationConfig(num_envs=2, environment=evaluation),
    )


def board_module(*, seed: int = 0, **arguments: Any) -> DQN:
    """Return a small eager DQN that plays tic-tac-toe."""
    torch.manual_seed(seed)
    small: dict[str, Any] = {
        "network": [{"Linear": 16}, "ReLU"],
        "compile": False,
        "slow_copy": False,
        "double": False,
    }
    return switched_dqn(EnvironmentFactory(ID), **{**small, **arguments})
