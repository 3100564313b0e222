"""The tensors that steps of an optimizer change, laid out once for all who step it.

Shapes: P parameters of a group.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from operator import is_
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim import optimizer as torch_optimizer


class GroupLayout(NamedTuple):
    """One param group of an optimizer in which something learns.

    Attributes:
        options: the optimizer's own, as the learning rate.
        places: of the group's parameters among all that learn.
        parameters: those that learn.
        state: by the names in the optimizer's state, of every parameter; but ``step``.
        steps: float32[P], of every parameter the steps so far; None where none are counted.
        counts: parts of ``steps``, float32[] of each parameter: those in the optimizer's state.
    """

    options: dict[str, Any]
    places: list[int]
    parameters: list[Tensor]
    state: dict[str, list[Tensor]]
    steps: Tensor | None
    counts: list[Tensor]


class OptimizerLayout:
    """An optimizer's groups, as long as it has the state that was laid out.

    Args:
        optimizer: any of torch's.
        parameters: those that learn; others of the optimizer stay.

    Attributes:
        groups: those in which something learns, since :meth:`lay_out`; empty before.
    """

    def __init__(self, optimizer: Optimizer, parameters: Sequence[Tensor]) -> None:
        self.optimizer = optimizer
        self.parameters = list(parameters)
        self.groups: list[GroupLayout] = []
        self._parts: list[Any] = []

    def is_current(self) -> bool:
        """Tell whether the optimizer's groups and state are still those that were laid out."""
        now = _parts_of(self.optimizer)
        return len(now) == len(self._parts) and all(map(is_, now, self._parts))

    def lay_out(self) -> list[GroupLayout]:
        """Return the groups, anew where they aren't current.

        Every parameter that learns is to have its state by then, where the optimizer keeps one.
        """
        if not self.is_current():
            place_of = {parameter: place for place, parameter in enumerate(self.parameters)}
            groups = (self._laid_out(o, place_of) for o in self.optimizer.param_groups)
            self.groups = [group for group in groups if group.parameters]
            self._parts = _parts_of(self.optimizer)
        return self.groups

    def _laid_out(self, options: dict[str, Any], place_of: dict[Tensor, int]) -> GroupLayout:
        parameters = [p for p in options["params"] if p in place_of]
        states = [self.optimizer.state.get(p, {}) for p in parameters]
        names = [name for name, value in next(iter(states), {}).items() if torch.is_tensor(value)]
        steps = None
        if "step" in names:
            names.remove("step")
            # One tensor under the counts of all parameters: one addition instead of many.
            steps = torch.stack([state["step"] for state in states])
            for state, count in zip(states, steps.unbind(), strict=True):
                state["step"] = count
        return GroupLayout(
            options=options,
            places=[place_of[p] for p in parameters],
            parameters=parameters,
            state={name: [state[name] for state in states] for name in names},
            steps=steps,
            counts=[] if steps is None else [state["step"] for state in states],
        )


def has_hooks(optimizer: Optimizer) -> bool:
    """Tell whether somebody is called at each of an optimizer's steps."""
    return bool(
        optimizer._optimizer_step_pre_hooks
        or optimizer._optimizer_step_post_hooks
        or torch_optimizer._global_optimizer_pre_hooks
        or torch_optimizer._global_optimizer_post_hooks
    )


def _parts_of(optimizer: Optimizer) -> list[Any]:
    """Return an optimizer's groups and all that it remembers of its parameters."""
    remembered = map(dict.values, optimizer.state.values())
    return [*optimizer.param_groups, *chain.from_iterable(remembered)]
