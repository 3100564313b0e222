"""One optimizer step on given gradients, without the bookkeeping of ``Optimizer.step``.

``Adam.step`` spends four fifths of its time in Python when a network is small. For fused Adam
and AdamW the same kernel is called directly on the optimizer's own state; every other
optimizer gets its ``.grad`` and its ``step``. Both give the same weights bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from operator import is_
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim import optimizer as torch_optimizer

from lightning_dqn.learning.gradients import laid_out_like


class _Group(NamedTuple):
    """One param group of an optimizer, laid out for the kernel."""

    options: dict[str, Any]
    places: list[int]
    parameters: list[Tensor]
    averages: list[Tensor]
    square_averages: list[Tensor]
    steps: list[Tensor]
    all_steps: Tensor


class OptimizerStep:
    """Steps an optimizer along gradients that are handed over.

    Args:
        optimizer: any torch optimizer. Options in its param groups, as the learning rate, are
            read at each step.
        parameters: what the gradients belong to, in their order.
    """

    def __init__(self, optimizer: Optimizer, parameters: Sequence[Tensor]) -> None:
        self.optimizer = optimizer
        self.parameters = list(parameters)
        self._groups: list[_Group] | None = None
        self._parts: list[Any] = []

    @torch.no_grad()
    def __call__(self, gradients: Sequence[Tensor]) -> None:
        """Move the parameters by one step along ``gradients``, one for each of them."""
        if len(gradients) != len(self.parameters):
            raise ValueError(f"{len(gradients)} gradients for {len(self.parameters)} parameters")
        if self._groups is None and self._can_step_directly():
            self._groups = self._lay_out()
            self._parts = parts_of(self.optimizer)
        if self._groups is None or not self._is_current():
            self._groups = None
            self._step_by_optimizer(gradients)
            return
        for group in self._groups:
            _fused_adam(group, [gradients[place] for place in group.places])

    def _step_by_optimizer(self, gradients: Sequence[Tensor]) -> None:
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        with torch.enable_grad():
            self.optimizer.step()

    def _can_step_directly(self) -> bool:
        optimizer = self.optimizer
        if type(optimizer) not in (torch.optim.Adam, torch.optim.AdamW) or has_hooks(optimizer):
            return False
        if not all(map(optimizer.state.get, self.parameters)):
            return False  # its own step makes the state
        return all(group["fused"] and not group["amsgrad"] for group in optimizer.param_groups)

    def _lay_out(self) -> list[_Group]:
        place_of = {parameter: place for place, parameter in enumerate(self.parameters)}
        groups = []
        for options in self.optimizer.param_groups:
            parameters = [p for p in options["params"] if p in place_of]
            if not parameters:
                continue
            states = [self.optimizer.state[p] for p in parameters]
            # One tensor under the counts of all parameters: one addition instead of many.
            all_steps = torch.stack([state["step"] for state in states])
            for state, count in zip(states, all_steps.unbind(), strict=True):
                state["step"] = count
            groups.append(
                _Group(
                    options=options,
                    places=[place_of[p] for p in parameters],
                    parameters=parameters,
                    averages=[state["exp_avg"] for state in states],
                    square_averages=[state["exp_avg_sq"] for state in states],
                    steps=[state["step"] for state in states],
                    all_steps=all_steps,
                )
            )
        return groups

    def _is_current(self) -> bool:
        """Tell whether the optimizer still has the state that was laid out, and nobody looks on."""
        return has_parts(self.optimizer, self._parts) and not has_hooks(self.optimizer)


def _fused_adam(group: _Group, gradients: list[Tensor]) -> None:
    options = group.options
    group.all_steps.add_(1)
    kernel = torch._fused_adamw_ if options["decoupled_weight_decay"] else torch._fused_adam_
    kernel(
        group.parameters,
        gradients,
        group.averages,
        group.square_averages,
        [],
        group.steps,
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


def has_hooks(optimizer: Optimizer) -> bool:
    """Tell whether somebody is called at each of an optimizer's steps."""
    return bool(
        optimizer._optimizer_step_pre_hooks
        or optimizer._optimizer_step_post_hooks
        or torch_optimizer._global_optimizer_pre_hooks
        or torch_optimizer._global_optimizer_post_hooks
    )


def parts_of(optimizer: Optimizer) -> list[Any]:
    """Return an optimizer's groups and all that it remembers of its parameters."""
    remembered = map(dict.values, optimizer.state.values())
    return [*optimizer.param_groups, *chain.from_iterable(remembered)]


def has_parts(optimizer: Optimizer, parts: Sequence[Any]) -> bool:
    """Tell whether these are still its parts, each the same object."""
    now = parts_of(optimizer)
    return len(now) == len(parts) and all(map(is_, now, parts))


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
