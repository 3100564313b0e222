"""Textbook Q-learning: a table that learns from every transition once, in order."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from lightning_dqn import (
    DQN,
    CollectionConfig,
    EvaluationConfig,
    ReplayConfig,
    ReplayDataModule,
)
from lightning_dqn.networks.heads.scalar import ScalarHead
from lightning_dqn.networks.torsos import Tabular
from lightning_dqn.replay.samplers.online import OnlineTransitions
from support.switches import switched_dqn

ALPHA, GAMMA, EPSILON, SEED = 0.3, 0.95, 0.2, 5


def q_learning(environment: Any, **arguments: Any) -> DQN:
    """Return textbook Q-learning with a table."""
    own: dict[str, Any] = {
        "network": Tabular(),
        "head": ScalarHead(error="mse"),
        "double": False,
        "slow_copy": False,
        "max_gradient_norm": None,
        "optimizer": partial(torch.optim.SGD, lr=ALPHA),
        "compile": False,
    }
    return switched_dqn(environment, **{**own, **arguments})


def online(environment: Any, **arguments: Any) -> ReplayDataModule:
    """Return data of which every transition is learned from once, in order."""
    own: dict[str, Any] = {
        "sampler": OnlineTransitions(),
        "env_steps_per_epoch": 600,
        "replay": ReplayConfig(gamma=GAMMA),
        "collection": CollectionConfig(epsilon=EPSILON),
        "evaluation": EvaluationConfig(num_envs=2, test_episodes_per_env=2),
        "seed": SEED,
    }
    return ReplayDataModule(environment, **{**own, **arguments})
