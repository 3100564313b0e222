"""What the tests share: tiny runs on CartPole, and Lightning's warnings that aren't ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# Plugins of hypothesis look for what holds their objects, which nothing tells any more once the
# command line has frozen the garbage collector; so they are loaded first.
import hypothesis  # noqa: F401
import pytest
import pytorch_lightning as pl
import torch
from support.switches import switched_dqn

from lightning_dqn import DQN, CollectionConfig, ReplayDataModule
from lightning_dqn.transitions import Transitions

torch.set_num_threads(1)  # the networks here are far too small for more


@pytest.fixture
def make_trainer() -> Callable[..., pl.Trainer]:
    """A function that makes a quiet Trainer on the CPU."""

    def make(**arguments: Any) -> pl.Trainer:
        quiet: dict[str, Any] = {
            "accelerator": "cpu",
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "num_sanity_val_steps": 0,
            "max_epochs": 1,
            "limit_val_batches": 0,
        }
        return pl.Trainer(**{**quiet, **arguments})

    return make


@pytest.fixture
def make_data() -> Callable[..., ReplayDataModule]:
    """A function that makes CartPole data: 3 iterations of 8 env steps and 4 updates."""

    def make(*, warmup_env_steps: int = 16, overlap: bool = False, **other: Any) -> Any:
        tiny: dict[str, Any] = {
            "batch_size": 4,
            "updates_per_iteration": 4,
            "env_steps_per_iteration": 8,
            "env_steps_per_epoch": 24,
            "collection": CollectionConfig(warmup_env_steps=warmup_env_steps, overlap=overlap),
        }
        return ReplayDataModule("CartPole-v1", **{**tiny, **other})

    return make


@pytest.fixture
def make_module() -> Callable[..., DQN]:
    """A function that makes a tiny eager DQN for CartPole, the same one for the same seed."""

    def make(*, seed: int = 0, kind: type[DQN] = DQN, **arguments: Any) -> DQN:
        torch.manual_seed(seed)
        tiny: dict[str, Any] = {"network": [{"Linear": 8}, "ReLU"], "compile": False}
        return switched_dqn("CartPole-v1", kind=kind, **{**tiny, **arguments})

    return make


@pytest.fixture
def make_batch() -> Callable[..., Transitions]:
    """A function that draws a minibatch of CartPole's shapes."""

    def make(*, size: int = 16, seed: int = 0) -> Transitions:
        generator = torch.Generator().manual_seed(seed)
        return Transitions(
            observation=torch.randn(size, 4, generator=generator),
            action=torch.randint(2, (size,), generator=generator),
            reward=torch.randn(size, generator=generator),
            discount=0.99 * (torch.rand(size, generator=generator) < 0.8),
            next_observation=torch.randn(size, 4, generator=generator),
            next_action_mask=None,
        )

    return make


@pytest.fixture
def make_board_trainer(make_trainer: Any) -> Callable[..., pl.Trainer]:
    """A function that makes a quiet Trainer that validates each epoch and logs each iteration."""

    def make(**arguments: Any) -> pl.Trainer:
        return make_trainer(**{"limit_val_batches": 1.0, "log_every_n_steps": 1, **arguments})

    return make
