"""A policy on its way: as it was, of any kind, newer numbers in the same object."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from torch import nn

from lightning_dqn import DQN
from lightning_dqn.collecting.remote.policy_snapshot import PolicyReceiver, pack
from lightning_dqn.networks.torsos import MLP

OBSERVATION = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)


class Own:
    """A policy that holds more than a network: a tensor twice, one of half precision, none."""

    def __init__(self) -> None:
        self.twice = [nn.Parameter(torch.ones(2))] * 2
        self.half = torch.tensor(0.5, dtype=torch.bfloat16)
        self.empty = torch.zeros(0, 3)
        self.generator = torch.Generator().manual_seed(4)
        self.action = 1

    def act(self, observation, action_mask=None, noise=None):
        return np.full(len(observation), self.action)


def make_module(network) -> DQN:
    torch.manual_seed(0)
    return DQN("CartPole-v1", network=network, compile=False)


def change(module: DQN) -> None:
    with torch.no_grad():
        for parameter in module.q_network.parameters():
            parameter.add_(torch.randn(parameter.shape))


def test_what_arrives_acts_as_what_was_sent():
    module = make_module([{"Linear": 8}, "ReLU"])
    policy = module.behaviour_policy()
    arrived = PolicyReceiver(None).open(pack(policy, 0))
    assert arrived is not policy
    torch.testing.assert_close(
        arrived.q_values(OBSERVATION), policy.q_values(OBSERVATION), rtol=0, atol=0
    )


def test_newer_weights_come_into_the_policy_that_is_there():
    module, receiver = make_module([{"Linear": 8}, "ReLU"]), PolicyReceiver(None)
    first = receiver.open(pack(module.behaviour_policy(), 0))
    before = first.q_values(OBSERVATION).clone()
    change(module)
    snapshot = pack(module.behaviour_policy(), 0)
    assert receiver.open(snapshot) is first
    after = first.q_values(OBSERVATION)
    assert not torch.equal(before, after)
    assert torch.equal(after, module.behaviour_policy().q_values(OBSERVATION))


def test_what_is_packed_stays_as_it_was():
    module = make_module([{"Linear": 8}])
    snapshot = pack(module.behaviour_policy(), 0)
    before = module.behaviour_policy().q_values(OBSERVATION).clone()
    change(module)
    module.behaviour_policy()
    assert torch.equal(PolicyReceiver(None).open(snapshot).q_values(OBSERVATION), before)


def test_what_arrives_shares_no_memory_with_what_came():
    snapshot = pack(make_module([{"Linear": 8}]).behaviour_policy(), 0)
    for sent in snapshot.tensors:
        sent.flags.writeable = False  # as Ray hands them over
    receiver = PolicyReceiver(None)
    policy = receiver.open(snapshot)
    with torch.no_grad():
        for parameter in policy.network.parameters():
            parameter.zero_()
    assert any(sent.any() for sent in snapshot.tensors)


def test_a_policy_of_any_kind_travels():
    policy = Own()
    arrived = PolicyReceiver(None).open(pack(policy, 0))
    assert arrived.twice[0] is arrived.twice[1]
    assert isinstance(arrived.twice[0], nn.Parameter)
    assert arrived.half.dtype == torch.bfloat16
    assert float(arrived.half) == 0.5
    assert arrived.empty.shape == (0, 3)


def test_a_policy_that_became_another_is_taken_whole():
    policy, receiver = Own(), PolicyReceiver(None)
    assert receiver.open(pack(policy, 0)).act(OBSERVATION).tolist() == [1, 1, 1]
    policy.action = 0
    assert receiver.open(pack(policy, 0)).act(OBSERVATION).tolist() == [0, 0, 0]


def noisy_values(receiver: PolicyReceiver, module: DQN, times: int) -> list[float]:
    found = []
    for _ in range(times):
        policy = receiver.open(pack(module.behaviour_policy(), 0))
        found.append(float(policy.q_values(OBSERVATION)[0, 0]))
    return found


def test_noise_goes_on_as_the_senders_would_have():
    module = make_module(MLP(hidden=[8], noisy=True))
    arrived = noisy_values(PolicyReceiver(None), module, 3)
    own = [float(module.behaviour_policy().q_values(OBSERVATION)[0, 0]) for _ in range(3)]
    assert arrived == own
    assert len(set(own)) == 3


def test_other_receivers_have_noise_of_their_own():
    module = make_module(MLP(hidden=[8], noisy=True))
    drawn = [noisy_values(PolicyReceiver(seed), module, 2) for seed in (None, 1, 2, 1)]
    assert drawn[1] == drawn[3]
    assert len({tuple(one) for one in drawn}) == 3


def test_noise_goes_on_where_it_was_saved():
    module, receiver = make_module(MLP(hidden=[8], noisy=True)), PolicyReceiver(5)
    noisy_values(receiver, module, 2)
    saved = [state.clone() for state in receiver.noise()]
    expected = noisy_values(receiver, module, 2)
    continued = PolicyReceiver(5)
    continued.restore_noise(saved)
    assert [torch.equal(a, b) for a, b in zip(continued.noise(), saved, strict=True)] == [True]
    assert noisy_values(continued, module, 2) == expected


def test_what_cannot_be_pickled_is_refused_by_name():
    policy = Own()
    policy.lock = threading.Lock()
    with pytest.raises(ValueError, match=r"the policy Own can't be sent to actors: .*lock"):
        pack(policy, 0)
