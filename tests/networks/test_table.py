"""Tables: the textbook's rule update for update, what they refuse, and what they never learned."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from support.q_learning import ALPHA, EPSILON, GAMMA, SEED, online, q_learning
from support.solved_games import GameEnv, engine, nim

from lightning_dqn import (
    DQN,
    CollectionConfig,
    EnvironmentFactory,
    EnvironmentSpec,
    ReplayConfig,
)
from lightning_dqn.callbacks import EMATargetNetwork
from lightning_dqn.formats.saved import load_agent, save_weights
from lightning_dqn.learning.compilation import CheckedCompiledStep, has_cxx_compiler
from lightning_dqn.networks.heads.categorical import CategoricalHead
from lightning_dqn.networks.table import Table, UnseenCount
from lightning_dqn.networks.torsos import Tabular
from lightning_dqn.system.seeding import generator_of, seeds_of
from lightning_dqn.transitions import Transitions

Make = Callable[..., Any]
SPEC = EnvironmentSpec((), "int64", 3, num_states=7)


def tables_of_fit(environment: Any, make_trainer: Make, **arguments: Any) -> list[np.ndarray]:
    """Return the table after each update of a fit."""
    module, tables = q_learning(environment), []
    module.after_update.append(lambda m: tables.append(m.q_network.weight.detach().numpy().copy()))
    make_trainer().fit(module, online(environment, **arguments))
    return tables


def multiply_add(factor: np.float32, other: np.float32, addend: np.float32) -> np.float32:
    """Return factor * other + addend rounded once, as torch's ``add_(other, alpha=factor)``."""
    return np.float32(np.float64(factor) * np.float64(other) + np.float64(addend))


def textbook(environment: Any, num_states: int, num_actions: int, updates: int) -> list[np.ndarray]:
    """Return the table after each update of a loop written by hand, with float32 numbers.

    Args:
        environment: one copy in NEXT_STEP mode, with int arrays of one element.
        num_states: S.
        num_actions: A.
        updates: of the whole run.
    """
    generator = generator_of(SEED, "exploration")
    q, tables = np.zeros((num_states, num_actions), np.float32), []
    seeds = seeds_of(SEED, "environments", 0, count=1)
    is_sync = isinstance(environment, gym.vector.SyncVectorEnv)
    observation, _ = environment.reset(seed=seeds if is_sync else seeds[0])
    state, ended = int(observation[0]), False
    while len(tables) < updates:
        explores = generator.random(1)[0] < EPSILON
        random = int(generator.integers(num_actions, size=1)[0])
        action = random if explores else int(q[state].argmax())
        observation, reward, terminated, truncated, _ = environment.step(np.array([action]))
        following = int(observation[0])
        if not ended:
            future = np.float32(0.0 if terminated[0] else GAMMA) * q[following].max()
            td_error = np.float32(reward[0]) + future - q[state, action]
            q[state, action] = multiply_add(np.float32(ALPHA), td_error, q[state, action])
            tables.append(q.copy())
        state, ended = following, bool(terminated[0] or truncated[0])
    return tables


def frozen_lake(num_envs: int = 1) -> gym.vector.VectorEnv:
    return gym.make_vec("FrozenLake-v1", num_envs, vectorization_mode="sync", max_episode_steps=9)


def engine_env(num_envs: int = 1) -> GameEnv:
    return GameEnv(engine(), num_envs)


class RewardingLake(gym.RewardWrapper):
    """Pays for each step, so that values differ from the first update on."""

    def reward(self, reward: Any) -> float:
        """Return the reward, and a little for the field that was reached."""
        return float(reward) + 0.1 * self.unwrapped.s


def rewarding_lake() -> gym.Env:
    return RewardingLake(gym.make("FrozenLake-v1", max_episode_steps=9))


@pytest.mark.parametrize(
    ("make", "num_states", "num_actions"),
    [
        (lambda: gym.vector.SyncVectorEnv([rewarding_lake]), 16, 4),
        (engine_env, 7, 3),
    ],
    ids=["FrozenLake", "engine"],
)
def test_each_update_is_the_textbook_rule_to_the_last_bit(
    make, num_states, num_actions, make_trainer
):
    found = tables_of_fit(make(), make_trainer)
    expected = textbook(make(), num_states, num_actions, len(found))
    assert len(found) == 600
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
    changed = [int((one != other).sum()) for one, other in pairwise(found)]
    assert max(changed) == 1
    assert sum(changed) > 450, "of 600"


def test_several_environments_update_one_transition_at_a_time_in_order(make_trainer):
    found = tables_of_fit(engine_env(3), make_trainer, env_steps_per_epoch=240)
    changed = [int((one != other).sum()) for one, other in pairwise(found)]
    assert len(found) >= 240
    assert max(changed) == 1


def test_a_falling_alpha_follows_the_schedule_of_torch(make_trainer):
    module = q_learning(
        engine_env(),
        lr_scheduler=partial(torch.optim.lr_scheduler.LinearLR, end_factor=0.5, total_iters=10),
    )
    rates = []
    module.after_update.append(lambda m: rates.append(m.optimizers().param_groups[0]["lr"]))
    data = online(engine_env(), env_steps_per_epoch=20)
    make_trainer().fit(module, data)
    assert rates[0] == pytest.approx(ALPHA / 3)  # LinearLR's own start_factor
    assert rates[-1] == pytest.approx(ALPHA / 2)


def test_a_table_looks_values_up():
    network = Table(3, 2, initial_value=0.5)
    with torch.no_grad():
        network.weight[1] = torch.tensor([1.0, 2.0])
    assert network(torch.tensor([1, 0])).tolist() == [[1.0, 2.0], [0.5, 0.5]]
    with pytest.raises(IndexError):
        network(torch.tensor([-1]))


def test_only_states_that_are_learned_from_count_as_seen():
    network = Table(4, 2)
    with torch.no_grad():
        network(torch.tensor([0]))
    network.eval()(torch.tensor([1]))
    assert network.unseen(np.arange(4)).all()
    network.train()(torch.tensor([2, 2]))
    assert network.unseen(np.arange(4)).tolist() == [True, True, False, True]
    network.reset_parameters()
    assert network.unseen(np.arange(4)).all()


def make_batch(states: list[int]) -> Transitions:
    number = len(states)
    return Transitions(
        observation=torch.tensor(states),
        action=torch.arange(number) % 3,
        reward=torch.arange(number).float(),
        discount=torch.full((number,), 0.9),
        next_observation=torch.full((number,), 6),
        next_action_mask=None,
    )


def test_the_next_states_of_a_minibatch_are_not_seen():
    module = q_learning(SPEC, double=True, slow_copy=True)
    module.update.step(make_batch([1, 3, 3]))
    assert module.q_network.seen.nonzero().flatten().tolist() == [1, 3]


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch's own, on compiling
@pytest.mark.skipif(not has_cxx_compiler(), reason="no C++ compiler")
def test_the_compiled_step_marks_the_same_states_and_gives_the_same_gradients():
    module = q_learning(SPEC)
    step = CheckedCompiledStep(module.update.step, torch.device("cpu"))
    step(make_batch([2, 4]))
    assert step._step is not step._eager
    module.q_network.reset_parameters()
    compiled = step(make_batch([0, 5]))
    assert module.q_network.seen.nonzero().flatten().tolist() == [0, 5]
    eager = module.update.step(make_batch([0, 5]))
    assert torch.equal(compiled.gradients[0], eager.gradients[0])


def test_weights_and_checkpoints_hold_the_table_and_what_it_has_seen(tmp_path, make_trainer):
    module, data = q_learning(engine_env()), online(engine_env(), env_steps_per_epoch=40)
    trainer = make_trainer(callbacks=[EMATargetNetwork(tau=0.1, network="slow", evaluate=True)])
    trainer.fit(module, data)
    assert module.hparams["network"]["layers"] == [{"Table": {"initial_value": 0.0}}]
    trainer.save_checkpoint(tmp_path / "it.ckpt")
    save_weights(module.agent, tmp_path)
    seen = module.q_network.seen
    assert 0 < seen.sum() < len(seen)
    restored = DQN.load_from_checkpoint(tmp_path / "it.ckpt").agent
    for again in (restored, load_agent(tmp_path)):
        for name in ("q_network", "slow"):
            network = again.get_submodule(name)
            assert isinstance(network, Table)
            assert torch.equal(network.weight, module.agent.get_submodule(name).weight)
            assert torch.equal(network.seen, seen)
        assert again.evaluation_network == "slow"


@pytest.mark.parametrize(
    ("spec", "arguments", "message"),
    [
        (EnvironmentSpec((4,), "float32", 2), {}, r"^network=Table: .*float32\[4\].*mlp"),
        (EnvironmentSpec((), "int64", 2, 5, frame_stack=2), {}, r"^network=Table: .*int64\[2\]"),
        (SPEC, {"head": CategoricalHead()}, "^head=CategoricalHead: .*module/head=scalar"),
        (SPEC, {"dueling": True}, "^dueling=True: a table has no layers"),
        (SPEC, {"noisy": True}, "^noisy=True: "),
        (SPEC, {"layer_norm": True}, "^layer_norm=True: "),
        (SPEC, {"head_hidden": 8}, "^head_hidden=8: a table has no layers; set head_hidden=None$"),
        (SPEC, {"network": ["Table", "ReLU"]}, "^network=Table: a table is a whole network"),
        (SPEC, {"network": [{"Table": 3}]}, "^network=Table: 3: expected"),
    ],
)
def test_what_a_table_cannot_be_is_refused_with_the_key(spec, arguments, message):
    with pytest.raises(ValueError, match=message):
        q_learning(spec, **arguments)


def test_a_table_by_its_name_alone_has_values_of_zero():
    assert not q_learning(SPEC, network=["Table"]).q_network.weight.any()
    assert q_learning(
        SPEC, network=Tabular(initial_value=2.0)
    ).q_network.weight.unique().tolist() == [2.0]


def test_final_and_surplus_observations_are_no_decisions():
    count = UnseenCount(Table(3, 2))
    count(np.array([0, 1, 2]), np.array([True, False, True]))
    assert (count.unseen, count.decisions, count.share) == (2, 2, 1.0)
    fresh = UnseenCount(Table(3, 2))
    assert fresh.share == 0.0
    assert str(fresh) == "all 0 decisions were taken in states learned from"


def test_online_learning_obeys_masks_and_a_negative_discount(make_trainer):
    game = nim()
    environment = GameEnv(game, 2)
    module = q_learning(environment)
    data = online(
        environment,
        env_steps_per_epoch=4_000,
        replay=ReplayConfig(gamma=game.gamma),
        collection=CollectionConfig(epsilon=0.5),
    )
    make_trainer().fit(module, data)
    found = module.q_network.weight.detach().numpy()[game.legal]
    assert found == pytest.approx(game.optimal_q_values()[game.legal], abs=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"replay": ReplayConfig(n_step=3)}, "^replay.n_step=3: "),
        ({"replay": ReplayConfig(n_step=(1, 3))}, "^replay.n_step="),
        ({"collection": CollectionConfig(overlap=True)}, "^overlap=True: online"),
    ],
)
def test_what_online_learning_cannot_be_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        online("FrozenLake-v1", **arguments)


def test_frame_stacks_are_learned_from_online_as_they_were_acted_on(make_trainer):
    factory = EnvironmentFactory("CartPole-v1", num_envs=2, frame_stack=3)
    no_step = partial(torch.optim.SGD, lr=0.0)
    module = q_learning(factory, network=["Flatten", {"Linear": 4}], optimizer=no_step)
    data = online(factory, env_steps_per_epoch=120)
    seen: list[Transitions] = []
    module.after_update.append(
        lambda m: seen.append(Transitions(*(c if c is None else c.clone() for c in m.minibatch)))
    )
    make_trainer().fit(module, data)
    # Within an episode an environment's next observation is the one it acts on two updates later.
    followed = sum(
        torch.equal(one.next_observation, later.observation)
        for one, later in zip(seen, seen[2:], strict=False)
    )
    assert followed > 80
    for one in seen:
        assert torch.equal(one.next_observation[:, :-1], one.observation[:, 1:])
