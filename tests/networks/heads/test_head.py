"""What every head does, alone and through the loss of a module."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.learning_heads import TRIO, each_head, learn, make_dqn, six_transitions
from torch import nn

from lightning_dqn import DQN
from lightning_dqn.learning.targets import Munchausen
from lightning_dqn.networks.heads.categorical import CategoricalHead
from lightning_dqn.networks.heads.head import Head, HeadLoss
from lightning_dqn.networks.heads.quantile import QuantileHead
from lightning_dqn.networks.layers import Quantiles, draw_noise

# --- what every head does


@each_head
@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("noisy", [False, True])
def test_every_head_gives_a_value_for_each_action(head: Head, dueling: bool, noisy: bool) -> None:
    module = make_dqn(head, dueling=dueling, noisy=noisy)
    output = module.q_network(torch.randn(5, 2))
    assert head.q_values(output).shape == (5, 3)
    if not isinstance(output, Quantiles):
        assert output.shape == (5, 3, head.outputs_per_action)[: output.ndim]


@each_head
def test_the_loss_of_a_head_has_one_number_for_each_sample(head: Head) -> None:
    module = make_dqn(head)
    output = module.q_network(torch.randn(5, 2))
    action = torch.tensor([0, 1, 2, 0, 1])
    bootstrap = head.select(head.distribution(output), action)
    found = head.loss(head.select(output, action), torch.randn(5), torch.rand(5), bootstrap)
    assert isinstance(found, HeadLoss)
    assert all(part.shape == (5,) for part in found)
    assert (found.priority >= 0).all()
    torch.testing.assert_close(found.q_value, head.q_values(output)[torch.arange(5), action])


@each_head
def test_a_policy_that_is_sure_of_its_action_mixes_as_that_action_is_selected(head: Head) -> None:
    output = make_dqn(head).eval().q_network(torch.randn(4, 2))
    action = torch.tensor([2, 0, 1, 1])
    mixed = head.mix(output, nn.functional.one_hot(action, 3).float())
    selected = head.select(head.distribution(output), action)
    if isinstance(selected, Quantiles):
        mixed, selected = mixed.values, selected.values
    torch.testing.assert_close(mixed, selected)


@each_head
def test_the_mean_of_a_mixture_is_the_mean_of_the_actions_means(head: Head) -> None:
    output = make_dqn(head).eval().q_network(torch.randn(4, 2))
    policy = torch.rand(4, 3).softmax(dim=1)
    mixed, zero = head.mix(output, policy), torch.zeros(4)
    selected = head.select(output, torch.zeros(4, dtype=torch.int64))
    found = head.loss(selected, zero, torch.ones(4), mixed)
    expected = (policy * head.q_values(output)).sum(dim=1)
    torch.testing.assert_close(found.td_error + found.q_value, expected)


@each_head
def test_half_precision_outputs_are_read_in_full(head: Head) -> None:
    module = make_dqn(head).eval()
    observation = torch.randn(64, 2)
    with torch.autocast("cpu", torch.bfloat16):
        half = head.q_values(module.q_network(observation))
        loss = module.loss(six_transitions())
    exact = head.q_values(module.q_network(observation))
    assert (half - exact).abs().max() < 0.05
    assert abs((half - exact).mean()) < 0.01, "no bias"
    assert loss.loss.dtype == torch.float32
    assert loss.loss.item() == pytest.approx(module.loss(six_transitions()).loss.item(), abs=0.05)


@pytest.mark.parametrize("head", [QuantileHead(5), CategoricalHead(5)])
@pytest.mark.parametrize("outputs", [1, 4])
def test_another_number_of_outputs_than_the_heads_is_refused(head: Head, outputs: int) -> None:
    own = nn.Sequential(nn.Linear(2, 3 * outputs), nn.Unflatten(1, (3, outputs)))
    with pytest.raises(ValueError, match=rf"\(2, 3, {outputs}\); the head reads \(B, A, 5\)"):
        DQN(TRIO, network=own, head=head)
    fitting = nn.Sequential(nn.Linear(2, 15), nn.Unflatten(1, (3, 5)))
    assert DQN(TRIO, network=fitting, head=head).q_values(torch.zeros(4, 2)).shape == (4, 3)


# --- through the loss of a module


@each_head
def test_weights_of_1_are_no_weights(head: Head) -> None:
    module = make_dqn(head)
    found = learn(module, six_transitions(weight=torch.ones(6)))
    torch.testing.assert_close(found, learn(module, six_transitions()))


@each_head
def test_each_loss_is_multiplied_with_its_weight_and_no_priority_is(head: Head) -> None:
    module = make_dqn(head)
    weight = torch.tensor([0.0, 0.0, 1.0, 0.0, 0.5, 0.0])
    loss, _, priority, _ = learn(module, six_transitions(weight=weight))
    only = [learn(module, six_transitions(weight=row))[0] for row in torch.eye(6)]
    torch.testing.assert_close(loss, (weight * torch.stack(only)).sum())
    torch.testing.assert_close(priority, learn(module, six_transitions())[2])


@each_head
@pytest.mark.parametrize("double", [False, True])
def test_cold_munchausen_without_alpha_is_plain_q_learning(head: Head, double: bool) -> None:
    plain = make_dqn(head, double=double)
    cold = make_dqn(head, double=double, munchausen=Munchausen(alpha=0.0, temperature=1e-6))
    batch = six_transitions()
    torch.testing.assert_close(learn(cold, batch), learn(plain, batch), atol=1e-4, rtol=1e-4)


@each_head
@pytest.mark.parametrize("dueling", [False, True])
def test_noise_of_sigma_0_is_no_noise(head: Head, dueling: bool) -> None:
    plain = make_dqn(head, dueling=dueling)
    noisy = make_dqn(head, dueling=dueling, noisy=True, noisy_sigma=0.0)
    for name in ("q_network", "target_network"):
        ours, theirs = noisy.get_submodule(name), plain.get_submodule(name)
        for key, parameter in ours.named_parameters():
            if "sigma" in key:
                nn.init.zeros_(parameter)
            else:
                parameter.data.copy_(theirs.get_parameter(key))
        draw_noise(ours.eval())
        theirs.eval()
    batch = six_transitions()
    torch.testing.assert_close(noisy.loss(batch), plain.loss(batch))


@each_head
@pytest.mark.parametrize("munchausen", [None, Munchausen(temperature=0.5)])
def test_a_constant_added_to_all_advantages_changes_nothing(head: Head, munchausen: Any) -> None:
    module = make_dqn(head, dueling=True, munchausen=munchausen)
    batch = six_transitions()
    expected = learn(module, batch)
    for network in (module.q_network, module.target_network):
        [bias] = [p for name, p in network.named_parameters() if name.endswith("advantage.bias")]
        with torch.no_grad():  # one constant for each output
            bias.add_(torch.randn(1, len(bias) // 3).expand(3, -1).flatten())
    torch.testing.assert_close(learn(module, batch), expected, atol=1e-5, rtol=1e-4)


@each_head
def test_a_reward_that_is_the_whole_target_is_that_of_a_terminated_state(head: Head) -> None:
    module = make_dqn(head)
    ended = six_transitions(discount=torch.zeros(6))
    whole = ended._replace(next_observation=None, next_action_mask=None)
    found = learn(module, whole)
    torch.testing.assert_close(found, learn(module, ended))
    assert not torch.equal(found[0], learn(module, six_transitions())[0])


@each_head
def test_the_online_network_bootstraps_without_a_gradient(head: Head) -> None:
    alone = make_dqn(head, double=False, slow_copy=False)
    assert not hasattr(alone, "target_network")
    beside = make_dqn(head, double=False)
    beside.q_network.load_state_dict(alone.q_network.state_dict())
    beside.target_network.load_state_dict(alone.q_network.state_dict())
    batch = six_transitions()
    torch.testing.assert_close(learn(alone, batch), learn(beside, batch))


@each_head
@pytest.mark.parametrize("munchausen", [None, Munchausen()])
def test_the_target_network_gets_no_gradient(head: Head, munchausen: Any) -> None:
    module = make_dqn(head, munchausen=munchausen)
    module.loss(six_transitions()).loss.backward()
    assert all(p.grad is not None for p in module.q_network.parameters())
    assert all(p.grad is None for p in module.target_network.parameters())
