"""Rules against torch's own optimizers, and one of them by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from lightning_dqn.learning.optimizer_layout import OptimizerLayout
from lightning_dqn.learning.traced_optimizer import TracedOptimizer, can_be_traced

SHAPES = ((5, 4), (5,), (2, 5), (2,))
STEPS = 20
MakeOptimizer = Callable[[Sequence[nn.Parameter]], Optimizer]


def weights() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


def gradients(step: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1 + step)
    return [torch.randn(shape, generator=generator) for shape in SHAPES]


def one(kind: Any, **arguments: Any) -> MakeOptimizer:
    return lambda parameters: kind(parameters, **{"lr": 1e-2, **arguments})


def two(kind: Any, **arguments: Any) -> MakeOptimizer:
    def make(parameters: Sequence[nn.Parameter]) -> Optimizer:
        groups = [
            {"params": parameters[:2]},
            {"params": parameters[2:], "lr": 0.1, "weight_decay": 0.3},
        ]
        return kind(groups, **{"lr": 1e-2, **arguments})

    return make


MAKERS = {
    "adam": one(Adam),
    "adam fused": one(Adam, fused=True),
    "adam foreach": one(Adam, foreach=True),
    "adam of two groups": two(Adam, fused=True),
    "adam with a penalty": one(Adam, weight_decay=0.1),
    "adam maximizing": one(Adam, maximize=True, weight_decay=0.1),
    "adam amsgrad": one(Adam, amsgrad=True),
    "adam other betas": one(Adam, betas=(0.5, 0.7), eps=1e-3),
    "adam of a rate in a tensor": one(Adam, lr=torch.tensor(1e-2)),
    "adamw": two(AdamW, weight_decay=0.1),
    "adamw fused amsgrad": one(AdamW, amsgrad=True, fused=True),
    "rmsprop": one(RMSprop),
    "rmsprop centered with momentum": one(RMSprop, centered=True, momentum=0.9),
    "rmsprop with a penalty": two(RMSprop, maximize=True),
    "sgd": one(SGD),
    "sgd with momentum": two(SGD, momentum=0.9),
    "sgd of nesterov": one(SGD, momentum=0.9, nesterov=True, weight_decay=0.1),
    "sgd fused maximizing": one(SGD, fused=True, maximize=True),
}


def traced_of(optimizer: Optimizer, parameters: Sequence[nn.Parameter]) -> TracedOptimizer:
    return TracedOptimizer(OptimizerLayout(optimizer, parameters))


@torch.no_grad()
def take_step(traced: TracedOptimizer, gradients: Sequence[Tensor]) -> None:
    traced.refresh()
    for rule, places, group in zip(traced.rules, traced.places, traced.groups, strict=True):
        rule(group, [gradients[place] for place in places])


def own_step(
    optimizer: Optimizer, parameters: Sequence[nn.Parameter], gradients: list[Tensor]
) -> None:
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    optimizer.step()


def set_rate(optimizer: Optimizer, rate: float) -> None:
    known = optimizer.param_groups[0]["lr"]
    if isinstance(known, Tensor):
        known.fill_(rate)
    else:
        optimizer.param_groups[0]["lr"] = rate


@pytest.mark.parametrize("name", MAKERS)
def test_twenty_steps_at_a_changing_rate_are_the_optimizers_own(name: str) -> None:
    ours, theirs = weights(), weights()
    our_optimizer, their_optimizer = MAKERS[name](ours), MAKERS[name](theirs)
    assert can_be_traced(our_optimizer)
    traced = traced_of(our_optimizer, ours)
    for step in range(STEPS):
        set_rate(our_optimizer, 1e-2 / (1 + step))
        set_rate(their_optimizer, 1e-2 / (1 + step))
        take_step(traced, gradients(step))
        own_step(their_optimizer, theirs, gradients(step))
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    assert traced.has_its_tensors()
    found, expected = our_optimizer.state_dict(), their_optimizer.state_dict()
    torch.testing.assert_close(found["state"], expected["state"], rtol=1e-5, atol=1e-6)
    assert [g.keys() for g in found["param_groups"]] == [g.keys() for g in expected["param_groups"]]


def test_the_first_two_steps_of_adam_by_hand() -> None:
    weight = nn.Parameter(torch.tensor([1.0]))
    traced = traced_of(Adam([weight], lr=0.1, betas=(0.5, 0.75), eps=1e-8), [weight])
    take_step(traced, [torch.tensor([2.0])])
    # mean 1 / (1 - 0.5) = 2, mean square 1 / (1 - 0.75) = 4: a step of 0.1 * 2 / 2
    assert weight.item() == pytest.approx(0.9, abs=1e-7)
    take_step(traced, [torch.tensor([-4.0])])
    # mean (0.5 * 1 - 2) / (1 - 0.25) = -2; square (0.75 * 1 + 4) / (1 - 0.5625)
    assert weight.item() == pytest.approx(0.9 + 0.1 * 2 / (4.75 / 0.4375) ** 0.5, abs=1e-6)


@pytest.mark.parametrize("name", MAKERS)
def test_making_the_state_moves_nothing_and_counts_nothing(name: str) -> None:
    parameters = weights()
    optimizer = MAKERS[name](parameters)
    traced_of(optimizer, parameters)
    for parameter, start in zip(parameters, weights(), strict=True):
        assert torch.equal(parameter, start)
        assert parameter.grad is None
    states = optimizer.state_dict()["state"].values()
    assert not any(bool(value.any()) for state in states for value in state.values())


def test_a_state_that_is_there_is_gone_on_from() -> None:
    ours, theirs = weights(), weights()
    our_optimizer, their_optimizer = Adam(ours, lr=1e-2), Adam(theirs, lr=1e-2)
    for step in range(3):
        own_step(our_optimizer, ours, gradients(step))
        own_step(their_optimizer, theirs, gradients(step))
    take_step(traced_of(our_optimizer, ours), gradients(3))
    own_step(their_optimizer, theirs, gradients(3))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    assert [int(our_optimizer.state[p]["step"]) for p in ours] == [4] * 4


def test_a_state_that_is_loaded_meanwhile_is_noticed() -> None:
    parameters = weights()
    optimizer = Adam(parameters, lr=1e-2)
    traced = traced_of(optimizer, parameters)
    assert traced.has_its_tensors()
    optimizer.load_state_dict(optimizer.state_dict())
    assert not traced.has_its_tensors()


def test_a_state_of_which_a_part_is_dropped_is_noticed() -> None:
    parameters = weights()
    optimizer = Adam(parameters, lr=1e-2)
    traced = traced_of(optimizer, parameters)
    dropped = optimizer.state.pop(parameters[-1])
    assert not traced.has_its_tensors()
    optimizer.state[parameters[-1]] = dropped
    assert traced.has_its_tensors()
    optimizer.state[parameters[-1]]["exp_avg"] = torch.zeros_like(parameters[-1])
    assert not traced.has_its_tensors()
    optimizer.state.clear()
    assert not traced.has_its_tensors()


def test_an_option_that_changes_is_noticed_but_not_the_rate() -> None:
    parameters = weights()
    optimizer = Adam(parameters, lr=1e-2)
    traced = traced_of(optimizer, parameters)
    optimizer.param_groups[0]["lr"] = 1.0
    assert traced.has_its_rules()
    optimizer.param_groups[0]["betas"] = (0.5, 0.9)
    assert not traced.has_its_rules()


class OwnAdam(Adam):
    """Might do anything in its step."""


def hooked(parameters: Sequence[nn.Parameter]) -> Optimizer:
    optimizer = Adam(parameters)
    optimizer.register_step_post_hook(lambda *_: None)
    return optimizer


@pytest.mark.parametrize(
    "make",
    [one(OwnAdam), one(torch.optim.RAdam), one(SGD, momentum=0.9, dampening=0.1), hooked],
    ids=["a class of its own", "another", "dampened", "hooked"],
)
def test_what_no_rule_is_known_of_steps_by_itself(make: MakeOptimizer) -> None:
    assert not can_be_traced(make(weights()))
