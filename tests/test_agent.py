"""The greedy policy: what it takes, what it refuses, what it chooses."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from torch import nn

from lightning_dqn import DQN
from lightning_dqn.agent import Agent
from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.learning.targets import Target
from lightning_dqn.networks.heads.categorical import CategoricalHead
from lightning_dqn.networks.heads.head import Head
from lightning_dqn.networks.heads.quantile import (
    ImplicitQuantileHead,
    ProposedQuantileHead,
    QuantileHead,
)
from lightning_dqn.networks.heads.scalar import ScalarHead
from lightning_dqn.networks.layers import draw_noise, has_noise
from lightning_dqn.networks.modes import is_training
from lightning_dqn.networks.q_network import NetworkOptions, QNetwork
from lightning_dqn.networks.torsos import MLP
from lightning_dqn.policy import GreedyPolicy
from lightning_dqn.transitions import Transitions

VECTOR = EnvironmentSpec((3,), "float32", num_actions=3)


def policy(spec: EnvironmentSpec = VECTOR, network: nn.Module | None = None) -> GreedyPolicy:
    return GreedyPolicy(network or QNetwork(spec, ["Flatten"]), ScalarHead(), spec)


class Same(nn.Module):
    """Takes observations for action values."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        return observation * self.scale


Q_VALUES = np.array([[1.0, 5.0, 3.0], [2.0, -1.0, 0.0]], np.float32)


@pytest.mark.parametrize("shape", [(3,), (2, 4), (2, 3, 1), (2, 1, 3), ()])
def test_an_observation_of_another_shape_is_refused_with_the_right_one(shape: Any) -> None:
    with pytest.raises(ValueError) as caught:
        policy().q_values(np.zeros(shape, np.float32))
    message = str(caught.value)
    assert f"observation has the shape {shape}, expected (B, 3)" in message
    assert "a single one becomes a batch by observation[None]" in message


def test_a_single_discrete_state_is_refused() -> None:
    spec = EnvironmentSpec((), "int64", num_actions=2, num_states=5)
    with pytest.raises(ValueError, match=r"observation has the shape \(\)"):
        policy(spec).q_values(np.array(3))


def test_a_frame_without_its_stack_is_refused() -> None:
    spec = EnvironmentSpec((3,), "float32", num_actions=2, frame_stack=4)
    with pytest.raises(ValueError, match=r"expected \(B, 4, 3\)"):
        policy(spec).q_values(np.zeros((2, 3), np.float32))
    assert policy(spec).q_values(np.zeros((2, 4, 3), np.float32)).shape == (2, 2)


def test_a_mask_of_another_shape_is_refused() -> None:
    with pytest.raises(AssertionError, match="shapes differ"):
        policy().act(np.zeros((2, 3), np.float32), np.ones((2, 2), bool))


def test_the_greedy_action_is_the_best_legal_one() -> None:
    greedy = policy(network=Same())
    assert greedy.act(Q_VALUES).tolist() == [1, 0]
    mask = np.array([[True, False, True], [False, True, True]])
    assert greedy.act(Q_VALUES, mask).tolist() == [2, 2]
    assert greedy.act(torch.from_numpy(Q_VALUES), torch.from_numpy(mask)).tolist() == [2, 2]


def test_actions_are_int64_numbers_of_numpy() -> None:
    actions = policy(network=Same()).act(Q_VALUES)
    assert isinstance(actions, np.ndarray)
    assert (actions.dtype, actions.shape) == (np.int64, (2,))


def test_observations_of_another_type_are_read_as_the_environments() -> None:
    q_values = policy(network=Same()).q_values(Q_VALUES.astype(np.float64))
    assert q_values.dtype == torch.float32
    assert q_values.tolist() == Q_VALUES.tolist()


def test_discrete_states_are_told_apart() -> None:
    spec = EnvironmentSpec((), "int64", num_actions=2, num_states=5)
    greedy = policy(spec)
    linear = greedy.network.head
    assert isinstance(linear, nn.Linear)
    q_values = greedy.q_values(np.array([4, 0]))
    torch.testing.assert_close(q_values, linear.weight.T[[4, 0]] + linear.bias)


def test_acting_keeps_no_graph() -> None:
    q_values = policy().q_values(np.zeros((2, 3), np.float32))
    assert not q_values.requires_grad


def test_the_policy_follows_its_network() -> None:
    network = Same()
    greedy = policy(network=network)
    nn.init.constant_(network.scale, -1.0)
    assert greedy.act(Q_VALUES).tolist() == [0, 1]


HEADS = [
    CategoricalHead(num_atoms=5, v_min=-1.0, v_max=1.0),
    QuantileHead(num_quantiles=3),
    ImplicitQuantileHead(num_quantiles=4, num_evaluation_quantiles=5),
    ProposedQuantileHead(num_quantiles=4),
]


@pytest.mark.parametrize("head", HEADS, ids=lambda head: type(head).__name__)
def test_every_head_acts_by_its_means_the_same_each_time(head: Head) -> None:
    network = QNetwork(VECTOR, [{"Linear": 4}], head=head)
    greedy = GreedyPolicy(network, head, VECTOR)
    q_values = greedy.q_values(Q_VALUES)
    assert q_values.shape == (2, 3)
    assert torch.equal(greedy.q_values(Q_VALUES), q_values), "no fraction is drawn"
    assert greedy.act(Q_VALUES).tolist() == q_values.argmax(dim=1).tolist()
    assert network.training


@pytest.mark.parametrize("head", [ScalarHead(), *HEADS], ids=lambda head: type(head).__name__)
def test_a_noisy_network_acts_with_noise_where_its_layers_draw_it(head: Head) -> None:
    options = NetworkOptions(noisy=True)
    network = QNetwork(VECTOR, [{"Linear": 4}], head=head, options=options)
    greedy = GreedyPolicy(network, head, VECTOR)
    assert torch.equal(greedy.q_values(Q_VALUES), greedy.q_values(Q_VALUES)), "evaluation"
    draw_noise(network.eval(), torch.Generator().manual_seed(0))
    same = np.ones((2, 3), np.float32)
    one, other = greedy.q_values(same)
    assert torch.equal(one, other), "only what explores acts with noise"
    assert has_noise(network)
    assert is_training(network), "as it was"
    explorer = GreedyPolicy(network, head, VECTOR, explores=True)
    one, other = explorer.q_values(same)
    assert not torch.equal(one, other), "each environment has noise of its own"
    assert not torch.equal(explorer.q_values(same)[0], one)


# --- what an agent is asked


@pytest.mark.parametrize("head", [ScalarHead(), *HEADS], ids=lambda head: type(head).__name__)
def test_priorities_are_those_of_learning_without_a_target_network(head: Head) -> None:
    torch.manual_seed(0)
    target = Target(double=False, slow_copy=False)
    module = DQN(VECTOR, network=MLP(hidden=[8]), head=head, target=target, compile=False).eval()
    batch = Transitions(
        observation=torch.randn(6, 3),
        action=torch.randint(0, 3, (6,)),
        reward=torch.randn(6),
        discount=torch.tensor([0.9, 0.0, 0.9, -1.0, 0.5, 0.9]),
        next_observation=torch.randn(6, 3),
        next_action_mask=torch.rand(6, 3) < 0.7,
    )
    learned = module.loss(batch).priority
    assert batch.next_observation is not None
    assert batch.next_action_mask is not None
    given = (*batch[:5], batch.next_action_mask)
    found = module.behaviour_policy().priorities(*(column.numpy() for column in given))  # type: ignore[union-attr]
    assert learned is not None
    assert found == pytest.approx(learned.detach().numpy(), abs=1e-5)


def test_priorities_draw_no_noise_and_leave_the_layers_as_they_were() -> None:
    module = DQN(VECTOR, network=MLP(hidden=[8], noisy=True), compile=False)
    policy = module.behaviour_policy()
    before = module.agent.noise_state
    modes = [layer.training for layer in policy.network.modules()]
    assert any(modes)
    one, zero = np.ones((2, 3), np.float32), np.zeros(2, np.float32)
    first, again = (policy.priorities(one, zero.astype(int), zero, zero, one, None) for _ in "ab")
    assert (first == again).all()
    after = module.agent.noise_state
    assert before is not None
    assert after is not None
    assert torch.equal(before, after)
    assert [layer.training for layer in policy.network.modules()] == modes


class FrozenBody(nn.Module):
    """A pretrained body that stays in evaluation mode, and a layer that learns."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.BatchNorm1d(3).requires_grad_(False).eval()
        self.layer = nn.Linear(3, 3)

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.layer(self.body(observation))
        return out


def test_asking_for_values_leaves_each_layer_in_its_own_mode() -> None:
    module = DQN(VECTOR, network=FrozenBody(), compile=False)
    network = module.q_network
    modes = [layer.training for layer in network.modules()]
    assert modes == [True, False, True]
    observation = np.ones((2, 3), np.float32)
    module.q_values(observation)
    module.act(observation)
    module.agent.greedy_value(torch.ones(2, 3))
    assert [layer.training for layer in network.modules()] == modes


def test_the_value_of_the_best_action_is_that_of_the_network_that_learns() -> None:
    module = DQN(VECTOR, network=["Flatten"], compile=False)
    average = module.agent.add_network("average")
    with torch.no_grad():
        for parameter in average.parameters():
            parameter.add_(1.0)
    module.agent.evaluation_network = "average"
    observation = torch.ones(2, 3)
    with torch.no_grad():
        expected, other = (n(observation).max(dim=1).values for n in (module.q_network, average))
    torch.testing.assert_close(module.greedy_value(observation), expected)
    assert not torch.isclose(expected, other).any()


def test_agents_of_other_ranks_draw_noise_of_their_own() -> None:
    def values(*user: Any) -> torch.Tensor:
        torch.manual_seed(0)
        agent = Agent(VECTOR, network=MLP(hidden=[8], noisy=True))
        agent.noise_user = user
        return agent.behaviour_policy().q_values(np.ones((1, 3), np.float32))

    assert torch.equal(values("noise"), values("noise"))
    assert not torch.isclose(values("noise"), values("noise", 1)).any()


def test_noise_begins_anew_where_its_state_is_of_another_kind_of_device() -> None:
    module = DQN(VECTOR, network=MLP(hidden=[8], noisy=True), compile=False)
    observation = np.ones((1, 3), np.float32)
    expected = module.behaviour_policy().q_values(observation)
    module.agent.forget_behaviour()
    module.agent.restore_noise(torch.zeros(16, dtype=torch.uint8))
    assert torch.equal(module.behaviour_policy().q_values(observation), expected)


def agent_of(spec: EnvironmentSpec) -> Agent:
    torch.manual_seed(0)
    return Agent(spec, network=["Flatten", {"Linear": 8}, "ReLU"])


def test_an_observation_of_another_type_that_says_the_same_has_the_same_values() -> None:
    agent = agent_of(EnvironmentSpec((2, 3), "uint8", num_actions=3))
    image = np.arange(6, dtype=np.uint8).reshape(1, 2, 3) * 50
    expected = agent.q_values(image)
    for same in (image.astype(np.int64), image.astype(np.float32), torch.from_numpy(image).float()):
        assert torch.equal(agent.q_values(same), expected)
        assert agent.act(same).tolist() == expected.argmax(dim=1).tolist()


@pytest.mark.parametrize(
    ("spec", "wrong", "message"),
    [
        (EnvironmentSpec((2,), "uint8", 3), np.array([[0.5, 1.0]]), "0.5: expected a whole number"),
        (EnvironmentSpec((2,), "uint8", 3), np.array([[1, 300]]), "300: expected a whole number"),
        (
            EnvironmentSpec((), "int64", 3, 16),
            np.array([2.7]),
            "2.7: expected a state from 0 to 15",
        ),
        (EnvironmentSpec((), "int64", 3, 16), np.array([16]), "16: expected a state from 0 to 15"),
        (EnvironmentSpec((), "int64", 3, 16), np.array([-1]), "-1: expected a state from 0 to 15"),
    ],
)
def test_an_observation_that_a_cast_would_change_is_refused(
    spec: EnvironmentSpec, wrong: np.ndarray, message: str
) -> None:
    agent = agent_of(spec)
    for ask in (agent.q_values, agent.act):
        for observation in (wrong, torch.from_numpy(wrong)):
            with pytest.raises(ValueError, match=message):
                ask(observation)


# What is chosen, in the environment's own terms, or refused


def made_agent(spec: EnvironmentSpec = VECTOR) -> Agent:
    return Agent(spec, network=Same())


def test_what_acts_is_kept_without_the_rest() -> None:
    agent = made_agent()
    slow = agent.add_network("target_network")
    for parameter in slow.parameters():
        parameter.data.add_(torch.rand_like(parameter))
    agent.evaluation_network = agent.behaviour_network = "target_network"
    observation = torch.rand(5, 3)
    expected = agent.q_values(observation)
    agent.keep_only_what_acts()
    assert torch.equal(agent.q_values(observation), expected)
    assert torch.equal(agent.behaviour_policy().q_values(observation), expected)
    assert {name.partition(".")[0] for name in agent.state_dict()} == {"q_network"}
    assert agent.networks_description() == {"networks": [], "evaluation_network": "q_network"}


def test_actions_are_numbered_as_the_environment_does() -> None:
    spec = EnvironmentSpec((3,), "float32", num_actions=3, action_start=-4)
    assert made_agent(spec).act(Q_VALUES).tolist() == [-3, -4]
    assert made_agent(spec).behaviour_policy().act(Q_VALUES).tolist() == [-3, -4]
    assert made_agent(spec).q_values(Q_VALUES).tolist() == Q_VALUES.tolist()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_best_value_that_is_not_finite_is_refused(value: float) -> None:
    agent, zeros = made_agent(), np.zeros((2, 3), np.float32)
    zeros[1] = value
    with pytest.raises(ValueError, match=rf"best value is {value} for observation 1 of 2"):
        agent.act(zeros)
    with pytest.raises(ValueError, match="best value is"):
        agent.act(zeros, np.array([[True] * 3, [False, True, True]]))


def test_values_of_actions_that_are_not_chosen_may_be_anything() -> None:
    # A network may mask illegal actions itself.
    values = np.array([[-np.inf, 2.0, 1.0], [np.nan, -np.inf, 3.0]], np.float32)
    legal = np.array([[True, True, True], [False, True, True]])
    assert made_agent().act(values, legal).tolist() == [1, 2]
    over = np.array([[True, True, True], [False, False, False]])
    assert made_agent().act(values, over).tolist() == [1, 0], "any, where none is legal"


@pytest.mark.parametrize("kind", [bool, np.int8, np.float64, torch.bool, torch.int64])
def test_masks_of_zeros_and_ones_are_taken_in_any_type(kind: Any) -> None:
    mask: Any = np.array([[1, 0, 1], [0, 1, 1]])
    is_torchs = isinstance(kind, torch.dtype)
    mask = torch.as_tensor(mask).to(kind) if is_torchs else mask.astype(kind)
    assert made_agent().act(Q_VALUES, mask).tolist() == [2, 2]


def test_masks_that_mean_something_else_are_refused() -> None:
    minus_infinity = np.array([[0, -np.inf, 0], [0, 0, 0]])
    with pytest.raises(ValueError, match=r"action_mask -inf: expected 0 or 1"):
        made_agent().act(Q_VALUES, minus_infinity)
    with pytest.raises(ValueError, match=r"action_mask has the shape \(3,\), expected \(2, 3\)"):
        made_agent().act(Q_VALUES, np.ones(3, bool))
    with pytest.raises(ValueError, match=r"the shape \(1, 3\), expected \(3,\), as \(A,\)"):
        made_agent().act(Q_VALUES[0], np.ones((1, 3), bool))


# A single observation


def test_one_observation_has_the_values_and_the_action_of_a_batch_of_it() -> None:
    agent = made_agent(EnvironmentSpec((3,), "float32", num_actions=3, action_start=-4))
    for one, row in zip(Q_VALUES, agent.q_values(Q_VALUES), strict=True):
        for observation in (one, torch.from_numpy(one), one.tolist()):
            assert torch.equal(agent.q_values(observation), row)
        action = agent.act(one)
        assert (action.shape, action.dtype) == ((), np.int64)
        assert action == agent.act(one[None])[0]
    assert agent.act(Q_VALUES[0]) == -3
    assert agent.act(Q_VALUES[0], np.array([True, False, True])) == -2
    assert agent.act(Q_VALUES[0], torch.tensor([1, 0, 0])) == -4
    assert agent.act(Q_VALUES[0], noise=np.array([9.0, 0.0, 0.0], np.float32)) == -4


def test_a_batch_of_one_stays_a_batch() -> None:
    agent = made_agent()
    assert agent.act(Q_VALUES[:1]).shape == (1,)
    assert agent.q_values(Q_VALUES[:1]).shape == (1, 3)


def test_a_number_is_one_discrete_state_and_a_row_of_them_a_batch() -> None:
    agent = agent_of(EnvironmentSpec((), "int64", num_actions=2, num_states=5))
    both = agent.q_values(np.array([4, 0]))
    assert both.shape == (2, 2)
    for state in (4, np.int64(4), np.array(4), torch.tensor(4)):
        assert torch.equal(agent.q_values(state), both[0])
        assert agent.act(state) == both[0].argmax()
    assert agent.act(np.array([4])).shape == (1,)


def test_a_single_stack_of_frames_is_one_observation() -> None:
    agent = agent_of(EnvironmentSpec((3,), "float32", num_actions=2, frame_stack=4))
    assert agent.q_values(np.zeros((4, 3), np.float32)).shape == (2,)
    assert agent.q_values(np.zeros((1, 4, 3), np.float32)).shape == (1, 2)


@pytest.mark.parametrize("shape", [(), (4,), (2, 4), (2, 3, 1), (1, 1, 3)])
def test_what_is_neither_one_nor_a_batch_is_refused_with_both_shapes(shape: Any) -> None:
    agent = made_agent()
    for ask in (agent.q_values, agent.act):
        with pytest.raises(ValueError) as caught:
            ask(np.zeros(shape, np.float32))
        assert f"has the shape {shape}, expected (B, 3), or (3,) for a single" in str(caught.value)


def test_one_action_is_one_that_environments_take() -> None:
    environment = gymnasium.make("FrozenLake-v1", is_slippery=False)
    agent = Agent("FrozenLake-v1", network=[])
    observation, _ = environment.reset(seed=0)
    _, _, _, truncated, _ = environment.step(agent.act(observation))
    assert not truncated
    environment.close()
