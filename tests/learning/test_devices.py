"""What several devices may be asked for, and what is refused with its reason."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import DDPStrategy, FSDPStrategy
from torch import nn

from lightning_dqn import ReplayDataModule
from lightning_dqn.callbacks import EMATargetNetwork, PromotePastSelf, ReDo
from lightning_dqn.collecting.evaluation import EvaluationConfig
from lightning_dqn.collecting.remote.config import RayCollectionConfig
from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.learning.devices import (
    check_devices,
    check_shared,
    multiplies_bfloat16,
    warn_of_slow_precision,
)
from lightning_dqn.networks.table import Table
from lightning_dqn.replay.samplers.lambda_returns import LambdaReturns
from lightning_dqn.replay.samplers.online import OnlineTransitions


def trainer(**changed: Any) -> Any:
    usual = {
        "strategy": DDPStrategy(),
        "num_devices": 2,
        "num_nodes": 1,
        "world_size": 2,
        "global_rank": 0,
        "precision": "32-true",
        "callbacks": [],
    }
    return SimpleNamespace(**{**usual, **changed})


def data(*, environment: int = 8, **changed: Any) -> ReplayDataModule:
    return ReplayDataModule(EnvironmentFactory("CartPole-v1", num_envs=environment), **changed)


def test_ddp_with_as_many_processes_as_devices_is_taken() -> None:
    check_devices(trainer())
    check_shared(trainer(callbacks=[EMATargetNetwork(tau=0.1)]), data())
    check_shared(trainer(), data(sampler=LambdaReturns(minibatches=4)))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"world_size": 4}, "the launcher started 4 processes, not 2"),
        ({"num_nodes": 2}, "devices=2 . num_nodes=2: the launcher started 2 processes, not 4"),
        ({"strategy": FSDPStrategy()}, "strategy=FSDPStrategy: DQN learns on one device, or"),
        ({"strategy": DDPStrategy(start_method="spawn")}, "strategy=ddp_spawn: .*strategy=ddp,"),
    ],
)
def test_what_cannot_be_is_refused(changed: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_devices(trainer(**changed))


@pytest.mark.parametrize(
    ("capabilities", "precision", "warns"),
    [
        ({"architecture": "x86_64", "avx512_bf16": False}, "bf16-mixed", True),
        ({"architecture": "x86_64", "avx512_bf16": False}, "32-true", False),
        ({"architecture": "x86_64", "avx512_bf16": True}, "bf16-mixed", False),
        ({"architecture": "x86_64", "amx_bf16": True}, "bf16-mixed", False),
        ({"architecture": "arm64"}, "bf16-mixed", False),
    ],
)
def test_half_precision_on_a_cpu_that_has_no_instructions_for_it_is_warned_of(
    capabilities: dict[str, Any],
    precision: str,
    warns: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    one = pl.Trainer(accelerator="cpu", precision=precision, logger=False)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        warn_of_slow_precision(one)
    told = [str(one.message) for one in found if "no instructions for bfloat16" in str(one.message)]
    assert len(told) == warns


def test_without_a_word_of_torch_on_the_cpu_nothing_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert multiplies_bfloat16()


@pytest.mark.parametrize("callback", [ReDo(), PromotePastSelf()])
def test_callbacks_that_go_by_what_one_rank_has_are_refused(callback: Any) -> None:
    with pytest.raises(ValueError, match=f"{type(callback).__name__}: .*several ranks.*leave it"):
        check_shared(trainer(callbacks=[callback]), data())
    check_shared(trainer(callbacks=[callback], world_size=1), data())


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"sampler": OnlineTransitions()}, "sampler=OnlineTransitions: learns from one stream"),
        ({"collection": RayCollectionConfig()}, "collection=RayCollectionConfig: several ranks"),
        ({"environment": 9}, "num_envs=9: is of all 2 ranks together"),
        ({"batch_size": 33}, "batch_size=33: is of all 2 ranks together"),
        ({"env_steps_per_iteration": 65}, "env_steps_per_iteration=65: is of all"),
        ({"evaluation": EvaluationConfig(num_envs=1)}, "evaluation.num_envs=2"),
    ],
)
def test_what_cannot_be_parted_is_refused(changed: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_shared(trainer(), data(**changed))


def test_one_vector_of_environments_cannot_be_parted() -> None:
    made = gym.make_vec("CartPole-v1", 2, vectorization_mode="sync")
    with pytest.raises(ValueError, match="several ranks can't part one VectorEnv"):
        check_shared(trainer(), ReplayDataModule(made))
    made.close()


def test_each_rank_evaluates_in_all_of_its_vector_of_environments() -> None:
    made = gym.make_vec("CartPole-v1", 3, vectorization_mode="sync")
    told = r"num_envs=3: each of 2 ranks plays in a VectorEnv with 3 .*set evaluation\.num_envs=6$"
    with pytest.raises(ValueError, match=told):
        check_shared(trainer(), data(evaluation=EvaluationConfig(num_envs=3, environment=made)))
    check_shared(trainer(), data(evaluation=EvaluationConfig(num_envs=6, environment=made)))
    made.close()


def test_data_that_say_nothing_of_ranks_are_refused() -> None:
    with pytest.raises(ValueError, match="datamodule=object: doesn't say how 2 ranks share it"):
        check_shared(trainer(), object())


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (nn.BatchNorm1d(4), "network 1 BatchNorm1d: each of several ranks has statistics"),
        (Table(3, 2), "network 1 Table: each of several ranks marks other states"),
    ],
)
def test_layers_that_keep_what_one_rank_saw_are_refused(layer: nn.Module, reason: str) -> None:
    network = nn.Sequential(nn.LayerNorm(4), layer)
    with pytest.raises(ValueError, match=reason):
        check_shared(trainer(), None, network)
    check_shared(trainer(world_size=1), None, network)
    check_shared(
        trainer(),
        None,
        nn.Sequential(nn.LayerNorm(4), nn.BatchNorm1d(4, track_running_stats=False)),
    )
