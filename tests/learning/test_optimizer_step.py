"""OptimizerStep against optimizer.step: the same weights bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any
from unittest.mock import patch

import pytest
import torch
from support.parameters import gradients, weights
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from lightning_dqn.learning.optimizer_layout import OptimizerLayout
from lightning_dqn.learning.optimizer_step import OptimizerStep

STEPS = 20
MakeOptimizer = Callable[[list[nn.Parameter]], Optimizer]


def step_of(optimizer: Optimizer, parameters: list[nn.Parameter]) -> OptimizerStep:
    return OptimizerStep(OptimizerLayout(optimizer, parameters))


def two_groups(kind: type[Optimizer], **arguments: Any) -> MakeOptimizer:
    def make(parameters: list[nn.Parameter]) -> Optimizer:
        groups = [
            {"params": parameters[:2]},
            {"params": parameters[2:], "lr": 0.1, "weight_decay": 0.3},
        ]
        return kind(groups, **arguments)

    return make


def one_group(kind: type[Optimizer], **arguments: Any) -> MakeOptimizer:
    return lambda parameters: kind(parameters, **arguments)


MAKERS = {
    "adam fused": one_group(Adam, lr=1e-2, fused=True),
    "adam fused with a penalty": two_groups(Adam, lr=1e-2, weight_decay=0.1, fused=True),
    "adam fused maximizing": one_group(Adam, lr=1e-2, maximize=True, fused=True),
    "adam fused amsgrad": one_group(Adam, lr=1e-2, amsgrad=True, fused=True),
    "adam fused betas": one_group(Adam, lr=1e-2, betas=(0.5, 0.7), eps=1e-3, fused=True),
    "adam foreach": one_group(Adam, lr=1e-2, foreach=True),
    "adamw fused": two_groups(AdamW, lr=1e-2, weight_decay=0.1, fused=True),
    "sgd with momentum": two_groups(SGD, lr=1e-2, momentum=0.9),
    "sgd fused": one_group(SGD, lr=1e-2, fused=True),
    "rmsprop": one_group(RMSprop, lr=1e-2, centered=True),
}


@pytest.mark.parametrize("name", MAKERS)
def test_twenty_steps_at_a_changing_rate_equal_the_optimizers_own_bit_for_bit(name: str) -> None:
    ours, theirs = weights(), weights()
    our_optimizer, their_optimizer = MAKERS[name](ours), MAKERS[name](theirs)
    our_step = step_of(our_optimizer, ours)
    for step in range(STEPS):
        for optimizer in (our_optimizer, their_optimizer):
            optimizer.param_groups[0]["lr"] = 1e-2 / (1 + step)
        our_step(gradients(step))
        for parameter, gradient in zip(theirs, gradients(step), strict=True):
            parameter.grad = gradient
        their_optimizer.step()
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True)), f"step {step}"
    _assert_same_state(our_optimizer, their_optimizer)


def test_a_step_in_turn_with_the_optimizers_own_is_the_same_road() -> None:
    ours, theirs = weights(), weights()
    our_optimizer, their_optimizer = MAKERS["adam fused"](ours), MAKERS["adam fused"](theirs)
    our_step = step_of(our_optimizer, ours)
    for step in range(STEPS):
        for parameter, gradient in zip(theirs, gradients(step), strict=True):
            parameter.grad = gradient
        their_optimizer.step()
        if step % 3 == 0:  # as Lightning does once an iteration
            for parameter, gradient in zip(ours, gradients(step), strict=True):
                parameter.grad = gradient
            our_optimizer.step()
        else:
            our_step(gradients(step))
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_fused_adam_goes_the_direct_way_once_it_has_a_state() -> None:
    parameters = weights()
    optimizer = MAKERS["adam fused"](parameters)
    step = step_of(optimizer, parameters)
    step(gradients(0))
    with patch.object(optimizer, "step", side_effect=AssertionError("the slow way")):
        step(gradients(1))


def test_a_subclass_with_a_step_of_its_own_is_not_bypassed() -> None:
    class OwnAdam(Adam):
        def step(self, closure: Any = None) -> Any:
            calls.append(1)
            return super().step(closure)

    calls: list[int] = []
    parameters = weights()
    optimizer = OwnAdam(parameters, lr=1e-2, fused=True)
    own_step = step_of(optimizer, parameters)
    for step in range(3):
        own_step(gradients(step))
    assert len(calls) == 3


@pytest.mark.parametrize("register", ["register_step_pre_hook", "register_step_post_hook"])
def test_who_looks_on_is_called_at_each_step_also_from_the_midst_of_a_run(register: str) -> None:
    parameters = weights()
    optimizer = MAKERS["adam fused"](parameters)
    own_step = step_of(optimizer, parameters)
    for step in range(4):
        own_step(gradients(step))
    calls: list[int] = []
    handle = getattr(optimizer, register)(lambda *_: calls.append(1))
    for step in range(16):
        own_step(gradients(step))
    assert len(calls) == 16
    handle.remove()
    with patch.object(optimizer, "step", side_effect=AssertionError("the slow way")):
        own_step(gradients(0))


def drop_all(optimizer: Optimizer, parameters: list[nn.Parameter]) -> None:
    optimizer.state.clear()


def drop_the_last(optimizer: Optimizer, parameters: list[nn.Parameter]) -> None:
    for parameter in parameters[2:]:
        del optimizer.state[parameter]


def empty_the_last(optimizer: Optimizer, parameters: list[nn.Parameter]) -> None:
    for parameter in parameters[2:]:
        optimizer.state[parameter] = {}


def replace_a_moment(optimizer: Optimizer, parameters: list[nn.Parameter]) -> None:
    optimizer.state[parameters[3]]["exp_avg"] = torch.ones_like(parameters[3])


@pytest.mark.parametrize("change", [drop_all, drop_the_last, empty_the_last, replace_a_moment])
@pytest.mark.parametrize("name", ["adam fused", "adamw fused"])
def test_a_state_that_is_dropped_in_whole_or_in_part_is_as_in_the_optimizers_own_steps(
    name: str, change: Callable[[Optimizer, list[nn.Parameter]], None]
) -> None:
    ours, theirs = weights(), weights()
    our_optimizer, their_optimizer = MAKERS[name](ours), MAKERS[name](theirs)
    our_step = step_of(our_optimizer, ours)
    for step in range(8):
        if step == 4:
            change(our_optimizer, ours)
            change(their_optimizer, theirs)
        our_step(gradients(step))
        for parameter, gradient in zip(theirs, gradients(step), strict=True):
            parameter.grad = gradient
        their_optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    _assert_same_state(our_optimizer, their_optimizer)


def test_a_group_whose_parameters_get_no_gradient_stays() -> None:
    learns, frozen = weights(), weights(requires_grad=False)
    optimizer = Adam([{"params": learns}, {"params": frozen}], lr=1e-2, fused=True)
    learn = step_of(optimizer, learns)
    for step in range(3):
        learn(gradients(step))
    assert all(torch.equal(a, b) for a, b in zip(frozen, weights(), strict=True))
    assert not torch.equal(learns[0], weights()[0])


def test_a_group_added_later_gets_its_state() -> None:
    parameters = weights()
    optimizer = Adam(parameters[:2], lr=1e-2, fused=True)
    step_of(optimizer, parameters[:2])(gradients(0)[:2])
    optimizer.add_param_group({"params": parameters[2:]})
    both = step_of(optimizer, parameters)
    for step in (1, 2):
        both(gradients(step))
    assert [int(optimizer.state[p]["step"]) for p in parameters] == [3, 3, 2, 2]


def test_the_gradient_is_known_to_an_optimizer_that_reads_it() -> None:
    parameters = weights()
    step_of(SGD(parameters, lr=1.0), parameters)(gradients(0))
    assert torch.equal(parameters[1], weights()[1] - gradients(0)[1])


def test_a_gradient_too_few_is_refused() -> None:
    parameters = weights()
    optimizer = MAKERS["adam fused"](parameters)
    own_step = step_of(optimizer, parameters)
    for step in range(2):  # both ways
        with pytest.raises(ValueError, match="3 gradients for 4 parameters"):
            own_step(gradients(0)[:3])
        own_step(gradients(step))


def _assert_same_state(ours: Optimizer, theirs: Optimizer) -> None:
    states = [optimizer.state_dict()["state"] for optimizer in (ours, theirs)]
    assert states[0].keys() == states[1].keys()
    for index, state in states[0].items():
        for name, value in state.items():
            other = states[1][index][name]
            same = torch.equal(value, other) if isinstance(value, Tensor) else value == other
            assert same, (index, name)


def test_a_state_that_is_loaded_meanwhile_counts() -> None:
    ours, theirs = weights(), weights()
    our_optimizer, their_optimizer = MAKERS["adam fused"](ours), MAKERS["adam fused"](theirs)
    our_step = step_of(our_optimizer, ours)
    for step in range(4):
        our_step(gradients(step))
        for parameter, gradient in zip(theirs, gradients(step), strict=True):
            parameter.grad = gradient
        their_optimizer.step()
        if step == 1:
            our_optimizer.load_state_dict(deepcopy(their_optimizer.state_dict()))
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    _assert_same_state(our_optimizer, their_optimizer)
