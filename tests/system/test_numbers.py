"""Numbers of any kind are taken, and kept as plain ones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from lightning_dqn import (
    DQN,
    CollectionConfig,
    EnvironmentFactory,
    EvaluationConfig,
    LinearSchedule,
    ReplayConfig,
    ReplayDataModule,
)
from lightning_dqn.callbacks import EMATargetNetwork
from lightning_dqn.collecting.exploration import Exploration
from lightning_dqn.learning.targets import Munchausen, Target
from lightning_dqn.networks.heads.quantile import QuantileHead
from lightning_dqn.networks.torsos import MLP
from lightning_dqn.replay.samplers.lambda_returns import LambdaReturns
from lightning_dqn.replay.samplers.online import OnlineTransitions
from lightning_dqn.replay.samplers.prioritized import PrioritizedSampling
from lightning_dqn.system.numbers import keep_plain, whole_number


@pytest.mark.parametrize(
    "value", [3, np.int64(3), np.uint8(3), torch.tensor(3), 3.0, np.float32(3)]
)
def test_a_whole_number_of_any_kind_is_a_plain_one(value: Any) -> None:
    assert whole_number("it", value) == 3
    assert type(whole_number("it", value)) is int


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (-1, "it=-1: at least 0"),
        (np.int64(-1), "it=-1: at least 0"),
        (1.5, r"it=1\.5: expected a whole number from 0"),
        (float("inf"), "it=inf: expected a whole number from 0"),
        ("7", "it='7': expected a whole number"),
        (None, "it=None: expected a whole number"),
        (True, "it=True: expected a whole number"),
        (np.bool_(True), "it=.*True.*: expected a whole number"),
    ],
)
def test_what_is_no_whole_number_is_refused(value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        whole_number("it", value)


def test_fields_become_whole_or_are_refused_by_name() -> None:
    assert repr(ReplayConfig(capacity=1e4).capacity) == "10000"
    assert MLP(hidden=[8.0]).hidden == (8,)
    assert type(CollectionConfig(warmup_env_steps=1e3).warmup_env_steps) is int
    for make, name in (
        (partial(ReplayConfig, capacity=1000.5), "capacity"),
        (partial(CollectionConfig, warmup_env_steps=-1), "warmup_env_steps"),
        (partial(EvaluationConfig, num_envs=2.5), "num_envs"),
        (partial(LambdaReturns, rollout_length=0), "rollout_length"),
        (partial(OnlineTransitions, rollout_length="4"), "rollout_length"),
        (partial(Exploration, random_action_max_steps=1.5), "random_action_max_steps"),
    ):
        with pytest.raises(ValueError, match=rf"^{name}="):
            make()


def test_fields_of_a_frozen_dataclass_become_plain() -> None:
    @dataclass(frozen=True)
    class Settings:
        rate: float = 0.5
        name: str = "x"
        count: int = 1

        def __post_init__(self) -> None:
            keep_plain(self)

    settings = Settings(np.float32(0.5), count=np.int64(4))  # type: ignore[arg-type]
    assert settings == Settings(0.5, "x", 4)
    assert (type(settings.rate), type(settings.count)) == (float, int)


def test_a_checkpoint_of_a_run_with_numpys_numbers_loads_without_code(make_trainer, tmp_path):
    whole, real = np.int64, np.float64
    factory = EnvironmentFactory("CartPole-v1", num_envs=whole(2), frame_stack=whole(2))
    schedule = LinearSchedule(real(1.0), real(0.1), whole(50))
    data = ReplayDataModule(
        factory,
        batch_size=whole(4),
        updates_per_iteration=whole(2),
        env_steps_per_iteration=whole(8),
        env_steps_per_epoch=whole(16),
        replay=ReplayConfig(whole(200), gamma=real(0.9), n_step=whole(2)),
        sampler=PrioritizedSampling(real(0.5), schedule),
        collection=CollectionConfig(whole(16), epsilon=schedule),
        evaluation=EvaluationConfig(num_envs=whole(2), seed=whole(3)),
        seed=whole(5),
    )
    module = DQN(
        factory,
        network=MLP(hidden=(whole(8),), noisy_sigma=real(0.1)),
        head=QuantileHead(whole(3), real(1.0)),
        target=Target(double=np.bool_(False), munchausen=Munchausen(real(0.5))),
        max_gradient_norm=real(5.0),
    )
    trainer = make_trainer(callbacks=[EMATargetNetwork(tau=0.1)])
    trainer.fit(module, data)
    trainer.save_checkpoint(tmp_path / "it.ckpt")
    loaded = DQN.load_from_checkpoint(tmp_path / "it.ckpt")
    assert loaded.hparams == module.hparams
    observation = torch.zeros(3, 2, 4)
    assert torch.equal(loaded.q_values(observation), module.q_values(observation))
