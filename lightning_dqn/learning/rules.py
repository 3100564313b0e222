"""What torch's optimizers do in a step, as functions that are compiled with the loss.

Each rule changes parameters and the optimizer's own state in place, so that ``state_dict`` stays
torch's; its options are constants, the learning rate is a tensor, so that a schedule compiles
nothing anew. They are held against the optimizers' own steps in the tests.

Shapes: P parameters of a group.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop


class GroupTensors(NamedTuple):
    """What a step changes of one param group, and its learning rate.

    Attributes:
        parameters: those that learn.
        state: by the names in the optimizer's state, of every parameter.
        steps: float32[P], of every parameter the steps so far; None where none are counted.
        learning_rate: float64[].
    """

    parameters: list[Tensor]
    state: dict[str, list[Tensor]]
    steps: Tensor | None
    learning_rate: Tensor


class Rule(Protocol):
    """One step of a param group along gradients."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names in the optimizer's state of the tensors that are shaped as the parameters."""
        ...

    @property
    def counts_steps(self) -> bool:
        """Whether the optimizer's state has a ``step``."""
        ...

    def __call__(self, group: GroupTensors, gradients: Sequence[Tensor]) -> None:
        """Change the group's tensors in place."""
        ...


@dataclass(frozen=True)
class AdamRule:
    """Kingma & Ba 2015 (arxiv.org/abs/1412.6980), alg. 1; AdamW where ``is_decoupled``."""

    betas: tuple[float, float]
    eps: float
    weight_decay: float
    maximize: bool
    amsgrad: bool
    is_decoupled: bool

    counts_steps = True

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the moments."""
        return ("exp_avg", "exp_avg_sq", *(["max_exp_avg_sq"] if self.amsgrad else []))

    def __call__(self, group: GroupTensors, gradients: Sequence[Tensor]) -> None:
        """Move by lr * mean / (sqrt(mean square) + eps), both corrected for their start at 0."""
        assert group.steps is not None
        beta1, beta2 = self.betas
        steps = group.steps.add_(1).double()
        size = _in_memory((group.learning_rate / (1 - beta1**steps)).float())
        root = _in_memory((1 - beta2**steps).rsqrt().float())
        kept = _in_memory((1 - group.learning_rate * self.weight_decay).float())
        moments = zip(*(group.state[name] for name in self.names), strict=True)
        for place, (parameter, gradient, tensors) in enumerate(
            zip(group.parameters, gradients, moments, strict=True)
        ):
            average, square, *largest = tensors
            if self.is_decoupled and self.weight_decay:
                parameter.mul_(kept)
            gradient = _with_penalty(
                parameter, gradient, 0.0 if self.is_decoupled else self.weight_decay, self.maximize
            )
            average.lerp_(gradient, 1 - beta1)
            square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
            if largest:
                square = largest[0].copy_(torch.maximum(largest[0], square))
            parameter.sub_(size[place] * average / (square.sqrt() * root[place] + self.eps))


@dataclass(frozen=True)
class RMSpropRule:
    """Tieleman & Hinton 2012; Graves 2013 (arxiv.org/abs/1308.0850) where ``centered``."""

    alpha: float
    eps: float
    weight_decay: float
    maximize: bool
    momentum: float
    centered: bool

    counts_steps = True

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the averages."""
        wanted = {"momentum_buffer": self.momentum > 0, "grad_avg": self.centered}
        return ("square_avg", *(name for name, is_wanted in wanted.items() if is_wanted))

    def __call__(self, group: GroupTensors, gradients: Sequence[Tensor]) -> None:
        """Move by lr * gradient / (root of its mean square + eps)."""
        assert group.steps is not None
        group.steps.add_(1)
        rate = _in_memory(group.learning_rate.float())
        for place, (parameter, gradient) in enumerate(
            zip(group.parameters, gradients, strict=True)
        ):
            state = {name: group.state[name][place] for name in self.names}
            gradient = _with_penalty(parameter, gradient, self.weight_decay, self.maximize)
            square = state["square_avg"]
            square.mul_(self.alpha).addcmul_(gradient, gradient, value=1 - self.alpha)
            if self.centered:
                average = state["grad_avg"].lerp_(gradient, 1 - self.alpha)
                square = square - average.square()
            step = gradient / (square.sqrt() + self.eps)
            if self.momentum > 0:
                step = state["momentum_buffer"].mul_(self.momentum).add_(step)
            parameter.sub_(rate * step)


@dataclass(frozen=True)
class SGDRule:
    """Descent, with momentum as torch has it; Nesterov's where ``nesterov``."""

    momentum: float
    weight_decay: float
    maximize: bool
    nesterov: bool

    counts_steps = False

    @property
    def names(self) -> tuple[str, ...]:
        """Name of the momentum, where there is one."""
        return ("momentum_buffer",) if self.momentum else ()

    def __call__(self, group: GroupTensors, gradients: Sequence[Tensor]) -> None:
        """Move by lr * gradient, or along the momentum."""
        rate = _in_memory(group.learning_rate.float())
        for place, (parameter, gradient) in enumerate(
            zip(group.parameters, gradients, strict=True)
        ):
            step = _with_penalty(parameter, gradient, self.weight_decay, self.maximize)
            if self.momentum:
                buffer = group.state["momentum_buffer"][place].mul_(self.momentum).add_(step)
                step = step + self.momentum * buffer if self.nesterov else buffer
            parameter.sub_(rate * step)


def rule_of(optimizer: Optimizer, group: Mapping[str, Any]) -> Rule | None:
    """Return the rule of a param group; None where the optimizer's own step has to be called."""
    make = _MAKERS.get(type(optimizer))
    if make is None or group.get("differentiable"):
        return None
    return make(group)


def _adam(group: Mapping[str, Any]) -> Rule | None:
    names = ("betas", "eps", "weight_decay", "maximize", "amsgrad")
    values = {name: group[name] for name in names}
    if not all(isinstance(value, float | int) for value in (*group["betas"], group["eps"])):
        return None  # tensors
    return AdamRule(**values, is_decoupled=bool(group["decoupled_weight_decay"]))


def _rmsprop(group: Mapping[str, Any]) -> Rule | None:
    names = ("alpha", "eps", "weight_decay", "maximize", "momentum", "centered")
    return RMSpropRule(**{name: group[name] for name in names})


def _sgd(group: Mapping[str, Any]) -> Rule | None:
    if group["dampening"]:
        return None  # its first step isn't dampened: it would need a count
    names = ("momentum", "weight_decay", "maximize", "nesterov")
    return SGDRule(**{name: group[name] for name in names})


_MAKERS: dict[type[Optimizer], Callable[[Mapping[str, Any]], Rule | None]] = {
    Adam: _adam,
    AdamW: _adam,
    RMSprop: _rmsprop,
    SGD: _sgd,
}


def _with_penalty(
    parameter: Tensor, gradient: Tensor, weight_decay: float, maximize: bool
) -> Tensor:
    gradient = -gradient if maximize else gradient
    return gradient + weight_decay * parameter if weight_decay else gradient


def _in_memory(numbers: Tensor) -> Tensor:
    """Let the compiler store numbers instead of computing them for every weight anew.

    It fuses what is elementwise into its user; a power of the count of steps, taken in double
    precision for each weight, would cost more than the update.
    """
    return torch.as_strided(numbers, numbers.shape, numbers.stride())
