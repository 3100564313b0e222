"""One optimizer step on given gradients, without the bookkeeping of ``Optimizer.step``.

``Adam.step`` spends four fifths of its time in Python when a network is small. For fused Adam
and AdamW the same kernel is called directly on the optimizer's own state; every other
optimizer gets its ``.grad`` and its ``step``. Both give the same weights bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim import Optimizer


@torch.no_grad()
def step_with(
    optimizer: Optimizer, parameters: Sequence[Tensor], gradients: Sequence[Tensor]
) -> None:
    """Move ``parameters`` by one step of ``optimizer`` along ``gradients``.

    Args:
        optimizer: any torch optimizer over ``parameters``; read anew at each call, so that
            schedulers and changed param groups count.
        parameters: all that the gradients belong to.
        gradients: one for each parameter.
    """
    if _has_direct_step(optimizer, parameters):
        _fused_adam_step(optimizer, dict(zip(parameters, gradients, strict=True)))
        return
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    with torch.enable_grad():
        optimizer.step()


def _has_direct_step(optimizer: Optimizer, parameters: Sequence[Tensor]) -> bool:
    if type(optimizer) not in (torch.optim.Adam, torch.optim.AdamW):
        return False
    if not all(parameter in optimizer.state for parameter in parameters):
        return False  # its own step makes the state
    return all(group["fused"] and not group["amsgrad"] for group in optimizer.param_groups)


def _fused_adam_step(optimizer: Optimizer, gradient_of: dict[Tensor, Tensor]) -> None:
    for group in optimizer.param_groups:
        parameters = [p for p in group["params"] if p in gradient_of]
        if not parameters:
            continue
        states = [optimizer.state[p] for p in parameters]
        steps = [state["step"] for state in states]
        torch._foreach_add_(steps, 1)
        kernel = torch._fused_adamw_ if group["decoupled_weight_decay"] else torch._fused_adam_
        kernel(
            parameters,
            [gradient_of[p] for p in parameters],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            steps,
            lr=group["lr"],
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            amsgrad=False,
            maximize=group["maximize"],
            grad_scale=None,
            found_inf=None,
        )
