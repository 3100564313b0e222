"""What an optimizer remembers: laid out as its parameters are, and forgotten."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
from support.parameters import gradients, weights
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from lightning_dqn.learning.optimizer_state import forget_moments, lay_out_state

STEPS = 20


def test_moments_of_a_run_whose_weights_lay_otherwise_are_laid_out_anew() -> None:
    """As of one that went by channels last; numbers, counts and what lies well stay."""
    weight, bias = nn.Parameter(torch.randn(4, 3, 2, 2)), nn.Parameter(torch.randn(4))
    twins = [nn.Parameter(p.detach().clone()) for p in (weight, bias)]
    steps = [[torch.randn_like(p) for p in twins] for _ in range(2)]

    def step(optimizer: Optimizer, parameters: list[nn.Parameter], number: int) -> None:
        for parameter, gradient in zip(parameters, steps[number], strict=True):
            parameter.grad = gradient.clone()
        optimizer.step()

    theirs = Adam(twins, lr=0.1)
    step(theirs, twins, 0)
    ours = Adam([weight, bias], lr=0.1, fused=True)
    step(ours, [weight, bias], 0)
    state = ours.state_dict()
    for name in ("exp_avg", "exp_avg_sq"):
        state["state"][0][name] = state["state"][0][name].to(memory_format=torch.channels_last)
    ours.load_state_dict(state)
    assert not ours.state[weight]["exp_avg"].is_contiguous(), "as it came"
    kept = ours.state[bias]["exp_avg"]
    lay_out_state(ours, [weight, bias])
    assert ours.state[weight]["exp_avg"].is_contiguous()
    assert ours.state[bias]["exp_avg"] is kept
    step(ours, [weight, bias], 1)
    step(theirs, twins, 1)
    torch.testing.assert_close([weight, bias], twins)


FORGETTING: dict[str, tuple[type[Optimizer], dict[str, Any]]] = {
    "adam": (Adam, {"amsgrad": True}),
    "adamw": (AdamW, {}),
    "adamax": (torch.optim.Adamax, {}),
    "radam": (torch.optim.RAdam, {}),
    "nadam": (torch.optim.NAdam, {}),
    "rmsprop": (RMSprop, {"centered": True, "momentum": 0.9}),
    "sgd": (SGD, {"momentum": 0.9, "nesterov": True}),
    "sgd dampened": (SGD, {"momentum": 0.9, "dampening": 0.5}),
    "rprop": (torch.optim.Rprop, {}),
    "asgd": (torch.optim.ASGD, {"t0": 5}),
    "adagrad": (torch.optim.Adagrad, {"initial_accumulator_value": 0.1}),
    "adadelta": (torch.optim.Adadelta, {}),
    "adafactor": (torch.optim.Adafactor, {}),
}


@pytest.mark.parametrize("name", sorted(FORGETTING))
def test_an_optimizer_that_forgot_moves_weights_as_a_new_one(name: str) -> None:
    kind, options = FORGETTING[name]
    used, new = weights(), weights()
    optimizer = kind(used, lr=1e-2, **options)

    def step(one: Optimizer, parameters: list[nn.Parameter], number: int) -> None:
        for parameter, gradient in zip(parameters, gradients(number), strict=True):
            parameter.grad = gradient
        one.step()

    for number in range(STEPS):
        step(optimizer, used, number)
    kept = deepcopy(optimizer.state[used[-1]])
    forget_moments(optimizer, used[:-1])
    assert all(torch.equal(optimizer.state[used[-1]][key], value) for key, value in kept.items())
    forget_moments(optimizer, used[-1:])
    with torch.no_grad():
        for parameter, beginning in zip(used, new, strict=True):
            parameter.copy_(beginning)
    twin = kind(new, lr=1e-2, **options)
    for number in range(STEPS):
        step(optimizer, used, 100 + number)
        step(twin, new, 100 + number)
    for parameter, expected in zip(used, new, strict=True):
        torch.testing.assert_close(parameter, expected)
