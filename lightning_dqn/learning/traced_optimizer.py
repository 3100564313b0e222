"""An optimizer laid out for graphs that step it: its state's tensors, and each group's rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from lightning_dqn.learning.optimizer_step import has_hooks, has_parts, parts_of
from lightning_dqn.learning.rules import GroupTensors, Rule, rule_of


class TracedOptimizer:
    """The tensors that steps of an optimizer change, and the rules by which.

    Args:
        optimizer: one that :func:`can_be_traced`.
        parameters: those that learn; others of the optimizer stay.

    Attributes:
        rules: one for each group in which something learns.
        places: of each group's parameters among ``parameters``.
        groups: the tensors of each.
    """

    def __init__(self, optimizer: Optimizer, parameters: Sequence[Tensor]) -> None:
        self.optimizer = optimizer
        self.rules: list[Rule] = []
        self.places: list[list[int]] = []
        self.groups: list[GroupTensors] = []
        self._options: list[dict[str, Any]] = []
        self._rates: list[float | None] = []
        _make_state(optimizer, parameters)
        place_of = {parameter: place for place, parameter in enumerate(parameters)}
        for options in optimizer.param_groups:
            learning = [p for p in options["params"] if p in place_of]
            rule = rule_of(optimizer, options)
            assert rule is not None
            if learning:
                self.rules.append(rule)
                self.places.append([place_of[p] for p in learning])
                self.groups.append(self._lay_out(rule, learning))
                self._options.append(options)
                self._rates.append(None)
        self._parts = parts_of(optimizer)

    def refresh(self) -> None:
        """Read the learning rates, which a schedule may have changed."""
        for place, (options, group) in enumerate(zip(self._options, self.groups, strict=True)):
            rate = options["lr"]
            if isinstance(rate, Tensor):
                group.learning_rate.copy_(rate)
            elif rate != self._rates[place]:
                group.learning_rate.fill_(rate)
                self._rates[place] = rate

    def has_its_tensors(self) -> bool:
        """Tell whether the optimizer still has the state that was laid out."""
        return has_parts(self.optimizer, self._parts)

    def has_its_rules(self) -> bool:
        """Tell whether all options but the learning rate are as they were."""
        pairs = zip(self._options, self.rules, strict=True)
        return all(rule_of(self.optimizer, options) == rule for options, rule in pairs)

    @property
    def tensors(self) -> list[Tensor]:
        """All that a step changes."""
        found: list[Tensor] = []
        for group in self.groups:
            found += [*group.parameters, *(t for ts in group.state.values() for t in ts)]
            found += [] if group.steps is None else [group.steps]
        return found

    def _lay_out(self, rule: Rule, parameters: list[Tensor]) -> GroupTensors:
        states = [self.optimizer.state[p] for p in parameters] if rule.names else []
        steps = None
        if rule.counts_steps:
            # One tensor under the counts of all parameters: one addition instead of many.
            steps = torch.stack([state["step"] for state in states])
            for state, count in zip(states, steps.unbind(), strict=True):
                state["step"] = count
        rate = torch.zeros((), dtype=torch.float64, device=parameters[0].device)
        named = {name: [state[name] for state in states] for name in rule.names}
        return GroupTensors(parameters, named, steps, rate)


def can_be_traced(optimizer: Optimizer) -> bool:
    """Tell whether graphs may step an optimizer: one of torch's own, with nobody looking on."""
    rules = (rule_of(optimizer, options) for options in optimizer.param_groups)
    return not has_hooks(optimizer) and all(rule is not None for rule in rules)


@torch.no_grad()
def _make_state(optimizer: Optimizer, parameters: Sequence[Tensor]) -> None:
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
