"""Heads: their losses by hand, their equivalences, and heads as plain values."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest
import torch
from support.six_transitions import six_transitions as any_six_transitions
from support.switches import switched_dqn
from torch import Tensor, nn

from lightning_dqn import DQN, EnvironmentSpec
from lightning_dqn.learning.targets import Munchausen
from lightning_dqn.networks.heads.categorical import CategoricalHead
from lightning_dqn.networks.heads.head import Head, HeadLoss
from lightning_dqn.networks.heads.quantile import (
    ImplicitQuantileHead,
    ProposedQuantileHead,
    QuantileHead,
)
from lightning_dqn.networks.heads.scalar import ScalarHead
from lightning_dqn.networks.layers import Quantiles, draw_noise
from lightning_dqn.networks.plain import head_from_plain, head_to_plain
from lightning_dqn.transitions import Transitions

REWARD = torch.tensor([1.0, 1.0])
DISCOUNT = torch.tensor([0.5, 0.0])
BOOTSTRAP = torch.tensor([8.0, 8.0])
PREDICTION = torch.tensor([2.0, 2.0])  # targets 5 and 1: TD errors 3 and -1

TRIO = EnvironmentSpec((2,), "float32", num_actions=3)
HEADS: list[Head] = [
    ScalarHead(),
    ScalarHead(error="mse"),
    CategoricalHead(num_atoms=7, v_min=-3.0, v_max=4.0),
    QuantileHead(num_quantiles=5),
    QuantileHead(num_quantiles=1),
    ImplicitQuantileHead(num_quantiles=6, num_evaluation_quantiles=4, num_cosines=5),
    ProposedQuantileHead(num_quantiles=4, num_cosines=5, proposal_scale=1.0),
]
each_head = pytest.mark.parametrize("head", HEADS, ids=lambda head: type(head).__name__)


def make_dqn(head: Head, **arguments: Any) -> DQN:
    """A DQN of 3 actions whose target network is another network."""
    torch.manual_seed(0)
    layers = [{"Linear": 6}, "Tanh"]
    module = switched_dqn(TRIO, **{"network": layers, "head": head, "compile": False, **arguments})
    with torch.no_grad():
        for name in ("q_network", *module.agent.copies):
            for parameter in module.agent.get_submodule(name).parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
    return module


six_transitions = partial(any_six_transitions, seed=3)


def learn(module: DQN, batch: Transitions) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
    """Return loss, TD errors, priorities and gradients, with the same random numbers each time."""
    torch.manual_seed(7)
    output = module.loss(batch)
    parameters = list(module.q_network.parameters())
    gradients = torch.autograd.grad(output.loss, parameters)
    assert output.priority is not None
    return output.loss.detach(), output.td_error, output.priority, list(gradients)


# --- the scalar head


def test_an_unknown_error_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="error='l1': choose 'huber' or 'mse'"):
        ScalarHead(error="l1")  # type: ignore[arg-type]


@pytest.mark.parametrize("threshold", [0.0, -1.0])
def test_a_huber_threshold_that_is_not_positive_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match=f"huber_threshold={threshold}"):
        ScalarHead(error="huber", huber_threshold=threshold)


def test_the_scalar_heads_q_values_are_the_output() -> None:
    output = torch.rand(2, 3)
    assert torch.equal(ScalarHead().q_values(output), output)
    assert ScalarHead.outputs_per_action == 1


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (ScalarHead(error="mse"), [4.5, 0.5]),
        (ScalarHead(), [2.5, 0.5]),
        (ScalarHead(error="huber"), [2.5, 0.5]),
        (ScalarHead(error="huber", huber_threshold=2.0), [4.0, 0.5]),
    ],
)
def test_the_loss_of_known_td_errors(head: ScalarHead, expected: list[float]) -> None:
    loss, q_value, td_error, priority = head.loss(PREDICTION, REWARD, DISCOUNT, BOOTSTRAP)
    assert td_error.tolist() == [3.0, -1.0], "target minus prediction"
    assert loss.tolist() == expected
    assert q_value.tolist() == [2.0, 2.0]
    assert priority.tolist() == [3.0, 1.0]


def test_the_loss_pulls_the_prediction_toward_the_target() -> None:
    prediction = PREDICTION.clone().requires_grad_()
    ScalarHead(error="huber").loss(prediction, REWARD, DISCOUNT, BOOTSTRAP).loss.sum().backward()
    assert prediction.grad is not None
    assert prediction.grad.tolist() == [-1.0, 1.0]


# --- C51, by hand

THIRDS = CategoricalHead(num_atoms=3, v_min=-1.0, v_max=1.0)


def test_the_q_values_of_atoms_by_hand() -> None:
    output = torch.tensor([[[1.0, 2.0, 5.0], [1.0, 1.0, 1.0]]]).log()
    # (-1 + 0 + 5) / 8 and 0
    torch.testing.assert_close(THIRDS.q_values(output), torch.tensor([[0.5, 0.0]]))


def test_the_loss_of_atoms_by_hand() -> None:
    logits = torch.tensor([[1.0, 2.0, 5.0]]).log()
    bootstrap = torch.tensor([[0.0, 0.5, 0.5]])
    found = THIRDS.loss(logits, torch.tensor([0.25]), torch.tensor([0.5]), bootstrap)
    # atoms at 0.25 and 0.75: 0.5 * (0.75, 0.25) + 0.5 * (0.25, 0.75) on 0 and 1
    target = torch.tensor([0.5, 0.5])
    divergence = (target * (target / torch.tensor([2 / 8, 5 / 8])).log()).sum()
    torch.testing.assert_close(found.loss, divergence.unsqueeze(0))
    torch.testing.assert_close(found.q_value, torch.tensor([0.5]))
    torch.testing.assert_close(found.td_error, torch.tensor([0.5 - 0.5]), atol=1e-6, rtol=0)
    torch.testing.assert_close(found.priority, found.loss)


def test_the_divergence_has_the_gradient_of_the_cross_entropy_and_ends_at_0() -> None:
    bootstrap = torch.tensor([[0.2, 0.3, 0.5]])
    one, zero = torch.ones(1), torch.zeros(1)
    logits = torch.tensor([[0.3, -1.0, 0.5]], requires_grad=True)
    [gradient] = torch.autograd.grad(THIRDS.loss(logits, zero, one, bootstrap).loss, logits)
    torch.testing.assert_close(gradient, logits.detach().softmax(dim=1) - bootstrap)
    ended = THIRDS.loss(bootstrap.log(), zero, one, bootstrap)
    torch.testing.assert_close(ended.loss, zero, atol=1e-6, rtol=0)
    assert (ended.priority >= 0).all()


def test_a_target_of_certain_atoms_and_an_impossible_prediction_have_a_finite_loss() -> None:
    logits = torch.tensor([[200.0, 0.0, -200.0]], requires_grad=True)
    certain = torch.tensor([[0.0, 0.0, 1.0]])
    loss = THIRDS.loss(logits, torch.zeros(1), torch.ones(1), certain).loss
    [gradient] = torch.autograd.grad(loss, logits)
    torch.testing.assert_close(loss.detach(), torch.tensor([400.0]))
    assert gradient.isfinite().all()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"num_atoms": 1}, "num_atoms=1: at least 2"),
        ({"v_min": 1.0, "v_max": 1.0}, r"v_min=1\.0: must lie below v_max=1\.0"),
    ],
)
def test_a_support_without_width_is_refused(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        CategoricalHead(**arguments)


# --- quantiles, by hand


def test_the_q_values_of_quantiles_are_their_means_weighted_where_they_differ() -> None:
    values = torch.tensor([[[1.0, 2.0, 6.0], [0.0, 0.0, -3.0]]])
    head = QuantileHead(num_quantiles=3)
    torch.testing.assert_close(head.q_values(values), torch.tensor([[3.0, -1.0]]))
    fractions, weights = torch.tensor([[0.1, 0.4, 0.8]]), torch.tensor([[0.5, 0.25, 0.25]])
    # 0.5 + 0.5 + 1.5 and -0.75
    weighted = head.q_values(Quantiles(values, fractions, weights))
    torch.testing.assert_close(weighted, torch.tensor([[2.5, -0.75]]))


def test_the_loss_of_quantiles_by_hand() -> None:
    head = QuantileHead(num_quantiles=2)
    prediction = head.select(torch.tensor([[[9.0, 9.0], [1.0, 3.0]]]), torch.tensor([1]))
    bootstrap = head.select(torch.tensor([[[2.0, 8.0], [9.0, 9.0]]]), torch.tensor([0]))
    found = head.loss(prediction, torch.tensor([1.0]), torch.tensor([0.5]), bootstrap)
    # targets 2 and 5, see the quantile Huber error by hand
    torch.testing.assert_close(found.loss, torch.tensor([0.5625]))
    torch.testing.assert_close(found.q_value, torch.tensor([2.0]))
    torch.testing.assert_close(found.td_error, torch.tensor([3.5 - 2.0]))
    torch.testing.assert_close(found.priority, found.loss)


def test_the_error_of_fractions_is_minimised_but_is_no_priority() -> None:
    head = ProposedQuantileHead(num_quantiles=2)
    edges = torch.tensor([[0.5]], requires_grad=True)
    prediction = Quantiles(
        torch.tensor([[1.0, 3.0]]),
        torch.tensor([[0.25, 0.75]]),
        torch.tensor([[0.5, 0.5]]),
        edges,
        torch.tensor([[2.5]]),
    )
    bootstrap = prediction._replace(values=torch.tensor([[2.0, 8.0]]), edges=None, at_edges=None)
    found = head.loss(prediction, torch.tensor([1.0]), torch.tensor([0.5]), bootstrap)
    # 2 * 2.5 - 1 - 3 = 1, times the edge 0.5
    torch.testing.assert_close(found.loss.detach(), torch.tensor([0.5625 + 0.5]))
    torch.testing.assert_close(found.priority, torch.tensor([0.5625]))
    [gradient] = torch.autograd.grad(found.loss, edges)
    assert gradient.tolist() == [[1.0]]


@pytest.mark.parametrize(
    ("kind", "arguments", "reason"),
    [
        (QuantileHead, {"num_quantiles": 0}, "num_quantiles=0: at least 1"),
        (QuantileHead, {"huber_threshold": -1.0}, r"huber_threshold=-1\.0: at least 0"),
        (ImplicitQuantileHead, {"num_quantiles": 0}, "num_quantiles=0: at least 1"),
        (ImplicitQuantileHead, {"num_evaluation_quantiles": 0}, "num_evaluation_quantiles=0"),
        (ImplicitQuantileHead, {"num_cosines": 0}, "num_cosines=0: at least 1"),
        (ProposedQuantileHead, {"num_cosines": 0}, "num_cosines=0: at least 1"),
        (ProposedQuantileHead, {"proposal_scale": -0.1}, r"proposal_scale=-0\.1: at least 0"),
    ],
)
def test_counts_and_scales_without_meaning_are_refused(
    kind: type[Head], arguments: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        kind(**arguments)


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


# --- equivalences, through the loss of a module


def test_two_atoms_are_logistic_regression_on_the_share_of_the_way_to_the_highest() -> None:
    low, high = -4.0, 6.0
    module = make_dqn(CategoricalHead(2, v_min=low, v_max=high), double=False)
    batch = six_transitions()
    difference = module.q_network(batch.observation).diff(dim=2).squeeze(2)
    logit = difference[torch.arange(6), batch.action]
    output = module.loss(batch)
    torch.testing.assert_close(output.q_value, low + (high - low) * logit.sigmoid().detach())
    # The two atoms of the next state, each cut to the support.
    next_logit = module.target_network(batch.next_observation).diff(dim=2).squeeze(2)
    assert batch.next_action_mask is not None
    best = next_logit.masked_fill(~batch.next_action_mask, -torch.inf).argmax(dim=1)
    upper = next_logit[torch.arange(6), best].sigmoid()
    places = (
        ((batch.reward + batch.discount * atom).clamp(low, high) - low) / (high - low)
        for atom in (low, high)
    )
    at_low, at_high = places
    target = (1 - upper) * at_low + upper * at_high
    cross_entropy = nn.functional.binary_cross_entropy_with_logits(logit, target, reduction="none")
    entropy = nn.functional.binary_cross_entropy(target, target, reduction="none")
    torch.testing.assert_close(output.loss, (cross_entropy - entropy).mean())


@pytest.mark.parametrize("threshold", [0.0, 1.0, 0.25])
def test_one_quantile_is_half_the_scalar_error(threshold: float) -> None:
    batch = six_transitions()
    quantile = make_dqn(QuantileHead(1, huber_threshold=threshold))
    scalar = make_dqn(ScalarHead(huber_threshold=threshold or 1.0))
    found, expected = quantile.loss(batch), scalar.loss(batch)
    torch.testing.assert_close(found.td_error, expected.td_error)
    torch.testing.assert_close(found.q_value, expected.q_value)
    if threshold:
        torch.testing.assert_close(found.loss, expected.loss / (2 * threshold))
    else:
        torch.testing.assert_close(found.loss, expected.td_error.abs().mean() / 2)


def test_implicit_quantiles_that_do_not_look_at_their_fraction_are_the_scalar_network() -> None:
    module = make_dqn(ImplicitQuantileHead(6, num_evaluation_quantiles=4)).eval()
    scalar = make_dqn(ScalarHead())
    for network in (module.q_network, module.target_network):
        nn.init.zeros_(network.head.embedding.weight)
        nn.init.ones_(network.head.embedding.bias)
    for name in ("q_network", "target_network"):
        ours, theirs = module.get_submodule(name), scalar.get_submodule(name)
        theirs.torso.load_state_dict(ours.torso.state_dict())
        theirs.head.load_state_dict(ours.head.output.state_dict())
    batch = six_transitions()
    torch.testing.assert_close(
        module.q_values(batch.observation), scalar.q_values(batch.observation)
    )
    found, expected = module.loss(batch), scalar.loss(batch)
    torch.testing.assert_close(found.td_error, expected.td_error)
    # the mean of |fraction - [target < prediction]| over symmetric midpoints is 1/2
    torch.testing.assert_close(found.loss, expected.loss / 2)


def test_equal_proposals_are_the_fixed_midpoints_of_implicit_quantiles() -> None:
    fixed = make_dqn(ImplicitQuantileHead(4, num_evaluation_quantiles=4)).eval()
    module = make_dqn(ProposedQuantileHead(4, proposal_scale=0.0))
    for name in ("q_network", "target_network"):
        module.get_submodule(name).load_state_dict(
            fixed.get_submodule(name).state_dict(), strict=False
        )
    batch = six_transitions()
    expected, found = fixed.loss(batch), module.loss(batch)
    torch.testing.assert_close(found.td_error, expected.td_error)
    torch.testing.assert_close(found.priority, expected.priority)
    torch.testing.assert_close(module.eval().loss(batch).loss, expected.loss)
    gradients = dict(_named_gradients(module.train(), batch))
    assert not gradients.pop("head.proposal.weight").any()
    assert not gradients.pop("head.proposal.bias").any()
    torch.testing.assert_close(gradients, dict(_named_gradients(fixed, batch)))


def test_the_proposal_learns_from_the_error_of_fractions_alone() -> None:
    module, batch = make_dqn(HEADS[-1]), six_transitions()
    gradients = dict(_named_gradients(module, batch))
    quantiles = HEADS[-1].select(module.q_network(batch.observation), batch.action)
    values, edges, at_edges = quantiles.values, quantiles.edges, quantiles.at_edges
    slope = (2 * at_edges - values[:, :-1] - values[:, 1:]).detach()
    proposal = module.q_network.head.proposal
    [expected] = torch.autograd.grad((slope * edges).sum(dim=1).mean(), [proposal.weight])
    assert expected.any()
    torch.testing.assert_close(gradients["head.proposal.weight"], expected)


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


# --- heads as plain values


@each_head
def test_a_head_comes_back_from_plain_values(head: Head) -> None:
    plain = head_to_plain(head)
    assert head_from_plain(json.loads(json.dumps(plain))) == head


def test_the_plain_values_of_a_head_are_its_name_and_settings() -> None:
    plain = head_to_plain(ScalarHead(error="huber", huber_threshold=3.0))
    assert plain == {"ScalarHead": {"error": "huber", "huber_threshold": 3.0}}


def test_a_head_of_the_users_own_is_named_only() -> None:
    class OwnHead(ScalarHead):
        pass

    assert head_to_plain(OwnHead()) == "OwnHead"
    OwnHead.__name__ = "ScalarHead"
    assert head_to_plain(OwnHead()) == "ScalarHead", "the same name is not the same class"


def test_an_unknown_head_is_refused_with_the_known_ones() -> None:
    names = (
        r"\['CategoricalHead', 'ImplicitQuantileHead', 'ProposedQuantileHead', 'QuantileHead', "
        r"'ScalarHead'\]"
    )
    with pytest.raises(ValueError, match=f"head='Nope': choose one of {names}"):
        head_from_plain({"Nope": {}})


def _named_gradients(module: DQN, batch: Transitions) -> list[tuple[str, Tensor]]:
    names = [name for name, _ in module.q_network.named_parameters()]
    return list(zip(names, learn(module, batch)[3], strict=True))


def test_the_share_of_targets_beyond_the_atoms_by_hand() -> None:
    head = CategoricalHead(num_atoms=3, v_min=-1.0, v_max=1.0)  # atoms -1, 0, 1: half a step is 0.5
    bootstrap = torch.tensor([[0.2, 0.3, 0.5], [0.2, 0.3, 0.5]])
    # 1 + 0.6 * (-1, 0, 1) = 0.4, 1.0, 1.6: only the last lies beyond; -0.5 * 0 = nothing does
    share = head.share_outside(torch.tensor([1.0, 0.0]), torch.tensor([0.6, 0.0]), bootstrap)
    assert share.item() == pytest.approx((0.5 + 0.0) / 2)
