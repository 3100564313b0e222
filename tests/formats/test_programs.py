"""What is exported, what it is held against, and programs written and read back."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_dqn import EnvironmentSpec
from lightning_dqn.agent import Agent
from lightning_dqn.formats import programs
from lightning_dqn.formats.programs import (
    RUNTIMES,
    Agreement,
    QValues,
    compare,
    random_observations,
)
from lightning_dqn.networks.heads.categorical import CategoricalHead
from lightning_dqn.networks.heads.head import Head
from lightning_dqn.networks.heads.quantile import (
    ImplicitQuantileHead,
    ProposedQuantileHead,
    QuantileHead,
)
from lightning_dqn.networks.heads.scalar import ScalarHead
from lightning_dqn.networks.torsos import Layers

VECTOR = EnvironmentSpec((4,), "float32", 3)
HEADS = [
    ScalarHead(),
    CategoricalHead(5, -1.0, 1.0),
    QuantileHead(3),
    ImplicitQuantileHead(4, num_evaluation_quantiles=5, num_cosines=6),
    ProposedQuantileHead(4, num_cosines=6),
]


def make_agent(head: Head | None = None, **options: Any) -> Agent:
    torch.manual_seed(0)
    return Agent(VECTOR, network=Layers(layers=[{"Linear": 8}, "ReLU"], **options), head=head)


def observations(size: int = 13) -> Tensor:
    return random_observations(VECTOR, size, torch.Generator().manual_seed(1))


# --- what is exported


@pytest.mark.parametrize("head", HEADS, ids=lambda head: type(head).__name__)
def test_what_is_exported_is_the_evaluation_network_without_noise(head):
    agent = make_agent(head=head, noisy=True)
    average = agent.add_network("average_network")
    for parameter in average.parameters():
        parameter.add_(0.1)
    agent.train()
    observation = observations()
    online = agent.q_values(observation)
    assert torch.equal(QValues(agent)(observation), online)
    agent.evaluation_network = "average_network"
    assert torch.equal(QValues(agent)(observation), agent.q_values(observation))
    assert not torch.equal(QValues(agent)(observation), online)


def test_what_is_exported_is_a_copy_that_leaves_the_agent_as_it_was():
    agent = make_agent().train()
    values = QValues(agent)
    before = values(observations())
    assert not any(module.training for module in values.modules())
    assert not any(parameter.requires_grad for parameter in values.parameters())
    assert all(module.training for module in agent.q_network.modules())
    assert all(parameter.requires_grad for parameter in agent.q_network.parameters())
    nn.init.zeros_(agent.q_network.head.weight)
    assert torch.equal(values(observations()), before)


# --- what it is held against


@pytest.mark.parametrize(
    ("spec", "values"),
    [
        (EnvironmentSpec((3,), "uint8", 2), set(range(256))),
        (EnvironmentSpec((3,), "bool", 2), {0, 1}),
        (EnvironmentSpec((), "int64", 2, num_states=6), set(range(6))),
        (EnvironmentSpec((), "int64", 2, num_states=6, frame_stack=2), set(range(6))),
    ],
    ids=lambda value: getattr(value, "observation_dtype", ""),
)
def test_observations_are_drawn_from_all_that_the_environment_may_give(spec, values):
    drawn = random_observations(spec, 2000, torch.Generator().manual_seed(0))
    assert drawn.shape == (2000, *spec.stacked_shape)
    assert drawn.dtype is getattr(torch, spec.observation_dtype)
    assert {int(value) for value in drawn.unique()} == values


def test_numbers_are_drawn_from_a_normal_distribution_by_the_given_stream():
    spec = EnvironmentSpec((50,), "float32", 2, frame_stack=2)
    state = torch.get_rng_state()
    one, same, other = (
        random_observations(spec, 100, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
    )
    assert torch.equal(torch.get_rng_state(), state), "no draw of the run is disturbed"
    assert (one.shape, one.dtype) == ((100, 2, 50), torch.float32)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert one.mean().abs() < 0.05
    assert one.std().item() == pytest.approx(1.0, abs=0.05)


# --- agreement


def test_a_program_that_agrees_differs_by_nothing():
    values = QValues(make_agent())
    assert compare(values, values, VECTOR).largest_difference == 0.0


def test_the_difference_is_the_largest_over_both_batches():
    values = QValues(make_agent())
    agreement = compare(values, lambda o: values(o) + 1e-7 * (len(o) == 7), VECTOR)
    assert agreement.largest_difference == pytest.approx(1e-7, rel=0.5)
    scale = max(
        float(values(random_observations(VECTOR, size, generator)).abs().max())
        for generator in [torch.Generator().manual_seed(0)]
        for size in (1, 7)
    )
    assert agreement == Agreement(agreement.largest_difference, scale)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda values, o: values(o) * (1 + 1e-4), "differs from the agent"),
        (lambda values, o: values(o) + 1e-3 * (len(o) == 7), "differs from the agent"),
        (lambda values, o: values(o) / 0 * 0, "aren't finite"),
        (lambda values, o: values(o)[0], r"gives \[3\]"),
        (lambda values, o: values(o.view(1, 4)), "fails on a batch of 7"),
    ],
    ids=["everywhere", "batch_of_7", "not_finite", "shape", "batch_size"],
)
def test_a_program_that_disagrees_is_refused(wrong, message):
    values = QValues(make_agent())
    with pytest.raises(ValueError, match=message):
        compare(values, lambda observation: wrong(values, observation), VECTOR)


def test_small_values_are_compared_by_their_own_size():
    agent = make_agent()
    with torch.no_grad():
        agent.q_network.head.weight.mul_(1e-6)
        agent.q_network.head.bias.mul_(1e-6)
    values = QValues(agent)
    with pytest.raises(ValueError, match="differs from the agent"):
        compare(values, lambda o: values(o) + 1e-8, VECTOR)


def test_a_difference_is_measured_by_what_values_are_computed_from():
    """Values of atoms near 0 come out of atoms up to 100, and are rounded as those are."""
    agent = make_agent(head=CategoricalHead(5, -100.0, 100.0))
    with torch.no_grad():
        for parameter in agent.q_network.head.parameters():
            parameter.mul_(1e-6)
    values = QValues(agent)
    agreement = compare(values, lambda o: values(o) + 5e-4, VECTOR)
    assert agreement.largest_value == 100.0
    with pytest.raises(ValueError, match="differs from the agent"):
        compare(values, lambda o: values(o) + 2e-3, VECTOR)


# --- programs


@pytest.mark.parametrize("format", ["torchscript", "torch_export"])
def test_a_program_comes_back_from_its_bytes(format):
    values = QValues(make_agent(dueling=True))
    content = RUNTIMES[format].make(values, VECTOR)
    assert isinstance(content, bytes)
    program = RUNTIMES[format].load(content)
    for size in (1, 5):
        torch.testing.assert_close(program(observations(size)), values(observations(size)))


def test_onnx_names_all_packages_that_are_missing(monkeypatch):
    monkeypatch.setattr(programs, "find_spec", lambda name: None)
    message = (
        r"format=onnx: needs onnx, onnxscript, onnxruntime; pip install 'lightning-dqn\[onnx\]'"
    )
    with pytest.raises(ValueError, match=message):
        RUNTIMES["onnx"].make(QValues(make_agent()), VECTOR)
