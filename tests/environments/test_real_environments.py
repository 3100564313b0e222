"""Nothing assumes CartPole: other environments train, evaluate and come back from a checkpoint."""

import pytest
import torch

from lightning_dqn import (
    DQN,
    CollectionConfig,
    EnvironmentFactory,
    EvaluationConfig,
    ReplayConfig,
    ReplayDataModule,
)
from lightning_dqn.callbacks import EMATargetNetwork
from lightning_dqn.networks.torsos import minatar_cnn, mlp, nature_cnn

ENVIRONMENTS = {
    "MountainCar-v0": ({}, mlp([8])),
    "Acrobot-v1": ({}, mlp([8])),
    "FrozenLake-v1": ({}, mlp([8])),
    "Taxi-v4": ({"frame_stack": 2}, mlp([8])),
    "LunarLander-v3": ({}, mlp([8])),
    "MinAtar/Breakout-v1": ({}, minatar_cnn()),
    "MinAtar/SpaceInvaders-v1": ({"frame_stack": 2}, minatar_cnn()),
}


@pytest.mark.filterwarnings(r"ignore:.*pkg_resources:UserWarning")  # MinAtar's and pygame's own
@pytest.mark.parametrize("id", ENVIRONMENTS)
def test_an_environment_trains_and_its_checkpoint_acts(id, tmp_path, make_trainer):
    if id.startswith("MinAtar"):
        pytest.importorskip("minatar")
    if id.startswith("LunarLander"):
        pytest.importorskip("Box2D")
    options, network = ENVIRONMENTS[id]
    environment = EnvironmentFactory(id, num_envs=2, **options)
    data = ReplayDataModule(
        environment,
        batch_size=4,
        updates_per_iteration=2,
        env_steps_per_iteration=8,
        env_steps_per_epoch=32,
        replay=ReplayConfig(capacity=200, n_step=2),
        collection=CollectionConfig(warmup_env_steps=16),
        evaluation=EvaluationConfig(num_envs=2),
    )
    module = DQN(environment, network=network)
    before = [weight.clone() for weight in module.q_network.parameters()]
    trainer = make_trainer(callbacks=[EMATargetNetwork(tau=0.1)])
    trainer.fit(module, data)
    assert any(
        not torch.equal(old, new)
        for old, new in zip(before, module.q_network.parameters(), strict=True)
    )
    trainer.save_checkpoint(tmp_path / "module.ckpt")
    loaded = DQN.load_from_checkpoint(tmp_path / "module.ckpt")
    observation = environment.spec.example_observations(3)
    torch.testing.assert_close(loaded.q_values(observation), module.q_values(observation))
    assert loaded.act(observation).shape == (3,)


def test_stacks_of_frames_fit_the_nature_network():
    from lightning_dqn import EnvironmentSpec

    spec = EnvironmentSpec((84, 84), "uint8", num_actions=6, frame_stack=4)
    module = DQN(spec, network=nature_cnn())
    assert module.q_values(spec.example_observations(2)).shape == (2, 6)
