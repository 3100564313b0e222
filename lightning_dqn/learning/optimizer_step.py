"""One optimizer step on given gradients, without the bookkeeping of ``Optimizer.step``.

``Adam.step`` spends four fifths of its time in Python when a network is small. For fused Adam
and AdamW the same kernel is called directly on the optimizer's own state; every other
optimizer gets its ``.grad`` and its ``step``. Both give the same weights bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_dqn.learning.optimizer_layout import GroupLayout, OptimizerLayout, has_hooks


class OptimizerStep:
    """Steps an optimizer along gradients that are handed over.

    Args:
        layout: of any torch optimizer, and of what the gradients belong to, in their order. Options
            in its param groups, as the learning rate, are read at each step.
    """

    def __init__(self, layout: OptimizerLayout) -> None:
        self.layout = layout
        self._groups: list[GroupLayout] | None = None

    @torch.no_grad()
    def __call__(self, gradients: Sequence[Tensor]) -> None:
        """Move the parameters by one step along ``gradients``, one for each of them."""
        parameters = self.layout.parameters
        if len(gradients) != len(parameters):
            raise ValueError(f"{len(gradients)} gradients for {len(parameters)} parameters")
        if not self._is_current():
            self._groups = self.layout.lay_out() if self._can_step_directly() else None
        if self._groups is None:
            self._step_by_optimizer(gradients)
            return
        for group in self._groups:
            _fused_adam(group, [gradients[place] for place in group.places])

    def _step_by_optimizer(self, gradients: Sequence[Tensor]) -> None:
        for parameter, gradient in zip(self.layout.parameters, gradients, strict=True):
            parameter.grad = gradient
        with torch.enable_grad():
            self.layout.optimizer.step()

    def _is_current(self) -> bool:
        """Tell whether the optimizer still has the state that was laid out, and nobody looks on."""
        layout = self.layout
        is_mine = self._groups is layout.groups
        return is_mine and layout.is_current() and not has_hooks(layout.optimizer)

    def _can_step_directly(self) -> bool:
        optimizer = self.layout.optimizer
        if type(optimizer) not in (torch.optim.Adam, torch.optim.AdamW) or has_hooks(optimizer):
            return False
        if not all(map(optimizer.state.get, self.layout.parameters)):
            return False  # its own step makes the state
        return all(group["fused"] and not group["amsgrad"] for group in optimizer.param_groups)


def _fused_adam(group: GroupLayout, gradients: list[Tensor]) -> None:
    options = group.options
    assert group.steps is not None
    group.steps.add_(1)
    kernel = torch._fused_adamw_ if options["decoupled_weight_decay"] else torch._fused_adam_
    kernel(
        group.parameters,
        gradients,
        group.state["exp_avg"],
        group.state["exp_avg_sq"],
        [],
        group.counts,
        lr=options["lr"],
        beta1=options["betas"][0],
        beta2=options["betas"][1],
        weight_decay=options["weight_decay"],
        eps=options["eps"],
        amsgrad=False,
        maximize=options["maximize"],
        grad_scale=None,
        found_inf=None,
    )
