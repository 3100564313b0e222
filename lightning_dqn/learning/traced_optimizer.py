"""An optimizer for graphs that step it: its state's tensors, and each group's rule."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim import Optimizer

from lightning_dqn.learning.optimizer_layout import OptimizerLayout, has_hooks
from lightning_dqn.learning.optimizer_state import make_state
from lightning_dqn.learning.rules import GroupTensors, Rule, rule_of


class TracedOptimizer:
    """The tensors that steps of an optimizer change, and the rules by which.

    Args:
        layout: of an optimizer that :func:`can_be_traced`.

    Attributes:
        rules: one for each group in which something learns.
        places: of each group's parameters among those that learn.
        groups: the tensors of each.
    """

    def __init__(self, layout: OptimizerLayout) -> None:
        self.layout = layout
        self.rules: list[Rule] = []
        self.groups: list[GroupTensors] = []
        make_state(layout.optimizer, layout.parameters)
        self._laid_out = layout.lay_out()
        self._rates: list[float | None] = [None] * len(self._laid_out)
        self.places = [group.places for group in self._laid_out]
        for group in self._laid_out:
            rule = rule_of(layout.optimizer, group.options)
            assert rule is not None
            rate = torch.zeros((), dtype=torch.float64, device=group.parameters[0].device)
            state = {name: group.state[name] for name in rule.names}
            self.rules.append(rule)
            self.groups.append(GroupTensors(group.parameters, state, group.steps, rate))

    def refresh(self) -> None:
        """Read the learning rates, which a schedule may have changed."""
        for place, (own, group) in enumerate(zip(self._laid_out, self.groups, strict=True)):
            rate = own.options["lr"]
            if isinstance(rate, Tensor):
                group.learning_rate.copy_(rate)
            elif rate != self._rates[place]:
                group.learning_rate.fill_(rate)
                self._rates[place] = rate

    def has_its_tensors(self) -> bool:
        """Tell whether the optimizer still has the state that was laid out."""
        return self._laid_out is self.layout.groups and self.layout.is_current()

    def has_its_rules(self) -> bool:
        """Tell whether all options but the learning rate are as they were."""
        pairs = zip(self._laid_out, self.rules, strict=True)
        return all(rule_of(self.layout.optimizer, own.options) == rule for own, rule in pairs)

    @property
    def tensors(self) -> list[Tensor]:
        """All that a step changes."""
        found: list[Tensor] = []
        for group in self.groups:
            found += [*group.parameters, *(t for ts in group.state.values() for t in ts)]
            found += [] if group.steps is None else [group.steps]
        return found


def can_be_traced(optimizer: Optimizer) -> bool:
    """Tell whether graphs may step an optimizer: one of torch's own, with nobody looking on."""
    rules = (rule_of(optimizer, options) for options in optimizer.param_groups)
    return not has_hooks(optimizer) and all(rule is not None for rule in rules)
