"""The easiest thing there is to learn, in seconds: reward 1 for the action that is the state."""

import pytest
import torch
from support.scripted_env import IdentityEnv
from support.switches import switched_dqn

from lightning_dqn import (
    CollectionConfig,
    EnvironmentFactory,
    EvaluationConfig,
    LinearSchedule,
    ReplayConfig,
    ReplayDataModule,
)
from lightning_dqn.callbacks import EMATargetNetwork
from lightning_dqn.networks.heads.scalar import ScalarHead


@pytest.mark.parametrize(
    ("double", "dueling", "one_hot", "n_step", "error"),
    [
        (False, False, True, 1, "mse"),
        (True, False, False, 1, "huber"),
        (True, True, False, 3, "mse"),
    ],
)
def test_identity_is_learned_without_a_mistake(
    double, dueling, one_hot, n_step, error, make_trainer
):
    torch.manual_seed(0)
    length = 4
    environment = EnvironmentFactory(
        lambda: IdentityEnv(3, episode_length=length, one_hot=one_hot), num_envs=4
    )
    data = ReplayDataModule(
        environment,
        batch_size=32,
        updates_per_iteration=8,
        env_steps_per_iteration=16,
        env_steps_per_epoch=1_200,
        replay=ReplayConfig(capacity=2_000, n_step=n_step, gamma=0.5),
        collection=CollectionConfig(100, epsilon=LinearSchedule(1.0, 0.1, 600)),
        evaluation=EvaluationConfig(num_envs=4, test_episodes_per_env=5),
    )
    module = switched_dqn(
        environment,
        network=[{"Linear": 16}, "ReLU"],
        double=double,
        dueling=dueling,
        head=ScalarHead(error=error),
    )
    trainer = make_trainer(callbacks=[EMATargetNetwork(tau=0.05)])
    trainer.fit(module, data)
    [result] = trainer.test(module, data, verbose=False)
    assert result["test/episode_return"] == length
