"""An optimizer's tensors are laid out once for all who step it, as long as it keeps them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer

from lightning_dqn.learning.optimizer_layout import OptimizerLayout
from lightning_dqn.learning.optimizer_state import make_state
from lightning_dqn.learning.optimizer_step import OptimizerStep
from lightning_dqn.learning.traced_optimizer import TracedOptimizer


def weights() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(s, generator=generator)) for s in ((5, 4), (5,), (2, 5))]


def gradients(step: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1 + step)
    return [torch.randn(weight.shape, generator=generator) for weight in weights()]


def own_step(optimizer: Optimizer, parameters: list[nn.Parameter], step: int) -> None:
    for parameter, gradient in zip(parameters, gradients(step), strict=True):
        parameter.grad = gradient
    optimizer.step()


@torch.no_grad()
def traced_step(traced: TracedOptimizer, step: int) -> None:
    traced.refresh()
    for rule, places, group in zip(traced.rules, traced.places, traced.groups, strict=True):
        rule(group, [gradients(step)[place] for place in places])


def test_graphs_and_single_steps_in_turn_are_the_optimizers_own_by_one_layout() -> None:
    ours, theirs = weights(), weights()
    our_optimizer, their_optimizer = Adam(ours, lr=1e-2, fused=True), Adam(theirs, lr=1e-2)
    layout = OptimizerLayout(our_optimizer, ours)
    single, traced = OptimizerStep(layout), TracedOptimizer(layout)
    groups, counts = layout.groups, [our_optimizer.state[p]["step"] for p in ours]
    for step in range(9):
        if step % 3 == 0:
            single(gradients(step))
        elif step % 3 == 1:
            traced_step(traced, step)
        else:
            own_step(our_optimizer, ours, step)
        own_step(their_optimizer, theirs, step)
        assert traced.has_its_tensors()
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    assert layout.groups is groups
    now = [our_optimizer.state[p]["step"] for p in ours]
    assert all(one is other for one, other in zip(now, counts, strict=True))
    assert [int(count) for count in counts] == [9, 9, 9]


def test_who_lays_out_anew_does_so_for_the_other_too() -> None:
    parameters = weights()
    optimizer = Adam(parameters, lr=1e-2, fused=True)
    layout = OptimizerLayout(optimizer, parameters)
    single, traced = OptimizerStep(layout), TracedOptimizer(layout)
    optimizer.load_state_dict(optimizer.state_dict())
    assert not traced.has_its_tensors()
    single(gradients(0))
    assert layout.is_current()
    assert not traced.has_its_tensors(), "its own are those of before"
    groups = layout.groups
    traced_step(TracedOptimizer(layout), 1)
    single(gradients(2))
    assert layout.groups is groups
    assert [int(optimizer.state[p]["step"]) for p in parameters] == [3, 3, 3]


def test_a_group_has_what_learns_and_where_it_stands() -> None:
    first, second, third = weights()
    optimizer = Adam([{"params": [second, third]}, {"params": [first], "lr": 0.1}], lr=1e-2)
    make_state(optimizer, [first, second, third])
    one, other = OptimizerLayout(optimizer, [first, second]).lay_out()
    assert (one.places, other.places) == ([1], [0])
    assert (one.options["lr"], other.options["lr"]) == (1e-2, 0.1)
    assert one.parameters == [second]
    assert one.state["exp_avg"][0] is optimizer.state[second]["exp_avg"]
    assert list(other.state) == ["exp_avg", "exp_avg_sq"]
    own = OptimizerLayout(optimizer, [second]).lay_out()
    assert [group.places for group in own] == [[0]], "none where nothing learns"


def test_counts_are_parts_of_one_tensor() -> None:
    parameters = weights()
    optimizer = Adam(parameters, lr=1e-2)
    make_state(optimizer, parameters)
    [group] = OptimizerLayout(optimizer, parameters).lay_out()
    assert group.steps is not None
    group.steps.add_(2)
    assert [int(optimizer.state[p]["step"]) for p in parameters] == [2, 2, 2]
    pairs = zip(group.counts, parameters, strict=True)
    assert all(count is optimizer.state[p]["step"] for count, p in pairs)


def test_an_optimizer_that_remembers_nothing_has_groups_alone() -> None:
    parameters = weights()
    layout = OptimizerLayout(SGD(parameters, lr=1e-2), parameters)
    assert not layout.is_current()
    [group] = layout.lay_out()
    assert (group.state, group.steps, group.counts) == ({}, None, [])
    assert layout.is_current()
    assert layout.lay_out() is layout.groups
