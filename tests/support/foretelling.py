"""Small DQNs of images that foretell their latents, and minibatches with the steps to come."""

from __future__ import annotations

from typing import Any

import torch

from lightning_dqn import DQN, EnvironmentSpec
from lightning_dqn.learning.self_prediction import SelfPredictionLoss
from lightning_dqn.networks.torsos import Layer
from lightning_dqn.transitions import Transitions

SPEC = EnvironmentSpec((12, 12), "uint8", num_actions=3, frame_stack=2)
CONVOLUTIONS: list[Layer] = [
    {"Conv2d": {"out_channels": 5, "kernel_size": 4, "stride": 2}},
    "ReLU",
    {"Conv2d": {"out_channels": 4, "kernel_size": 3}},
    "ReLU",
]
LAYERS: list[Layer] = [*CONVOLUTIONS, "Renormalise", "Flatten", {"Linear": 7}, "ReLU"]
LATENT, PROJECTED = (4, 3, 3), 7


def foreteller(**arguments: Any) -> DQN:
    """Return a DQN of these layers that foretells, the same one for the same arguments."""
    torch.manual_seed(0)
    usual = {"network": LAYERS, "self_prediction": SelfPredictionLoss(), "compile": False}
    return DQN(SPEC, **{**usual, **arguments})


def minibatch(size: int = 6, steps: int = 3, seed: int = 0, **changed: Any) -> Transitions:
    """Return noise of these shapes, every step within."""
    draw = torch.Generator().manual_seed(seed)

    def images(*leading: int) -> torch.Tensor:
        return torch.randint(256, (*leading, 2, 12, 12), generator=draw, dtype=torch.uint8)

    action = torch.randint(3, (size, steps), generator=draw)
    return Transitions(
        observation=images(size),
        action=action[:, 0],
        reward=torch.randn(size, generator=draw),
        discount=torch.full((size,), 0.9),
        next_observation=images(size),
        next_action_mask=None,
        sequence_observation=images(size, steps),
        sequence_action=action,
        sequence_within=torch.ones(size, steps, dtype=torch.bool),
    )._replace(**changed)
