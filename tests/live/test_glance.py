"""What is seen of environment 0: a board, a grid, numbers; and the values of its actions."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lightning_dqn import DQN, CollectionConfig, EvaluationConfig, ReplayDataModule
from lightning_dqn.callbacks import EMATargetNetwork
from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.live.glance import fields_of, glance
from lightning_dqn.networks.torsos import MLP
from lightning_dqn.replay.storage import ReplayConfig


@pytest.fixture
def seen(make_trainer):
    """A function that looks after a short fit's iterations; it returns the newest look."""

    def look(environment, gamma=0.99):
        found = []
        factory = EnvironmentFactory(environment, num_envs=2)
        data = ReplayDataModule(
            factory,
            batch_size=4,
            updates_per_iteration=1,
            env_steps_per_iteration=8,
            env_steps_per_epoch=16,
            collection=CollectionConfig(warmup_env_steps=16),
            evaluation=EvaluationConfig(num_envs=1),
            replay=ReplayConfig(gamma=gamma),
        )
        module = DQN(factory, network=MLP(hidden=[8]), compile=False)
        data.between_iterations.append(lambda: found.append(glance(module, data, colour=True)))
        make_trainer(callbacks=[EMATargetNetwork(tau=0.1)]).fit(module, data)
        return found[-1]

    return look


def text(found):
    return ["".join(piece for piece, _ in line).rstrip() for line in found.picture]


def test_a_board_game_is_seen_as_its_board(seen):
    found = seen("lightning_dqn/TicTacToe-v0", gamma=-1.0)
    assert [len(line.split()) for line in text(found)] == [3, 3, 3]
    assert set("".join(text(found)).replace(" ", "")) <= {"X", "O", "."}
    assert len(found.legal) == len(found.q_values) == 9
    free = "".join(text(found)).replace(" ", "")
    if "." in free and any(found.legal):
        assert [cell == "." for cell in free] == found.legal


def test_a_frozen_lake_is_seen_from_above(seen):
    found = seen("FrozenLake-v1")
    assert len(text(found)) == 4
    assert sum(line.count("@") for line in text(found)) == 1
    assert "G" in "".join(text(found)) or found.picture[3][3][0] == "@ "


def test_other_states_are_numbers(seen):
    found = seen("CartPole-v1")
    assert len(text(found)) == 4
    assert found.episode_return == found.episode_length


def test_a_world_without_fields_is_no_grid():
    assert fields_of(object(), 16) is None


@pytest.mark.parametrize("name", ["envs", "desc", "shape"])
@pytest.mark.parametrize("value", [4, lambda: (4, 4), "4x", [[1], [2, 3]], (4.0, 4.0), {}, (16,)])
def test_names_of_a_grid_that_mean_something_else_are_no_grid(name, value):
    assert fields_of(SimpleNamespace(**{name: value}), 16) is None


def test_a_grid_is_known_by_its_fields_or_its_shape():
    fields = np.full((2, 3), b"F")
    assert fields_of(SimpleNamespace(desc=fields), 6).tolist() == [["F"] * 3] * 2
    assert fields_of(SimpleNamespace(envs=[SimpleNamespace(shape=(2, 3))]), 6).shape == (2, 3)
    assert fields_of(SimpleNamespace(desc=fields, shape=[2, 3]), 7) is None


@pytest.mark.parametrize("evaluate", [False, True])
def test_looking_at_a_noisy_network_draws_no_noise(evaluate, make_data, make_trainer):
    """The target draws noise while learning, from the generator of learning, and may evaluate."""
    module = DQN("CartPole-v1", network=MLP(hidden=[8], noisy=True), compile=False)
    data, values = make_data(), []

    def look():
        state = torch.get_rng_state()
        for _ in range(2):
            values.append(glance(module, data, colour=False).q_values)
        assert torch.equal(torch.get_rng_state(), state)

    data.between_iterations.append(look)
    make_trainer(callbacks=[EMATargetNetwork(tau=0.1, evaluate=evaluate)]).fit(module, data)
    assert values[0::2] == values[1::2]
    assert len(values) > 4


def test_looking_leaves_the_network_in_its_mode(make_module, make_data, make_trainer):
    modes = []
    module, data = make_module(), make_data()

    def look():
        before = module.agent.q_network.training, torch.get_rng_state()
        glance(module, data, colour=False)
        modes.append(module.agent.q_network.training == before[0])
        assert torch.equal(torch.get_rng_state(), before[1])

    data.between_iterations.append(look)
    make_trainer(callbacks=[EMATargetNetwork(tau=0.1)]).fit(module, data)
    assert modes
    assert all(modes)
