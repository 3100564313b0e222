"""What an optimizer remembers of its parameters: made before a first step, laid out, forgotten."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.optim import Optimizer

from lightning_dqn.learning.gradients import laid_out_like


class Moment(NamedTuple):
    """A tensor that an optimizer remembers of a parameter, and what it begins with."""

    parameter: Tensor
    value: Tensor
    first: float | Tensor


def moments_of(optimizer: Optimizer, parameters: Iterable[Tensor]) -> Iterator[Moment]:
    """Yield what an optimizer remembers of ``parameters``; all but a few begin with 0."""
    chosen = set(parameters)
    for group in optimizer.param_groups:
        firsts = {
            "eta": group["lr"],  # of ASGD, as mu
            "mu": 1.0,
            "mu_product": 1.0,  # of NAdam
            "step_size": group["lr"],  # of Rprop
            "sum": group.get("initial_accumulator_value", 0.0),  # of Adagrad
        }
        for parameter in chosen.intersection(group["params"]):
            for name, value in optimizer.state.get(parameter, {}).items():
                if isinstance(value, Tensor):
                    yield Moment(parameter, value, firsts.get(name, 0.0))


@torch.no_grad()
def forget_moments(optimizer: Optimizer, parameters: Iterable[Tensor]) -> None:
    """Let what an optimizer remembers of ``parameters`` be as new, its count of their steps too."""
    chosen = set(parameters)
    for moment in moments_of(optimizer, chosen):
        moment.value.fill_(moment.first)
    for group in optimizer.param_groups:
        if group.get("dampening"):  # SGD's first step, known by having no buffer, has none
            for parameter in chosen.intersection(group["params"]):
                optimizer.state.get(parameter, {}).pop("momentum_buffer", None)


@torch.no_grad()
def lay_out_state(optimizer: Optimizer, parameters: Sequence[Tensor]) -> None:
    """Let what an optimizer remembers lie in memory as its parameters do.

    It may have come from the file of a run whose weights lay otherwise; see
    :func:`lightning_dqn.learning.gradients.laid_out_like`.
    """
    for parameter in parameters:
        state = optimizer.state.get(parameter, {})
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                (state[name],) = laid_out_like([parameter], [value])


@torch.no_grad()
def make_state(optimizer: Optimizer, parameters: Sequence[Tensor]) -> None:
    """Let an optimizer make the state of parameters that it hasn't stepped yet.

    By a step along gradients of zero, which is undone: what is in a state, and where, is the
    optimizer's own affair. All that it remembers is zero then, as before a first step.
    """
    new = [p for p in parameters if not optimizer.state.get(p)]
    others = {p: p.grad for group in optimizer.param_groups for p in group["params"]}
    weights = [p.clone() for p in new]
    for parameter in others:
        parameter.grad = None
    for parameter in new:
        parameter.grad = torch.zeros_like(parameter)
    type(optimizer).step(optimizer)  # not a schedule's, which counts
    for parameter, weight in zip(new, weights, strict=True):
        parameter.copy_(weight)
        for value in optimizer.state.get(parameter, {}).values():
            if isinstance(value, Tensor):
                value.zero_()
    for parameter, gradient in others.items():
        parameter.grad = gradient
