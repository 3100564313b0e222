"""Hyper-parameters that are changed by hand while a run learns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from torch import Tensor
from torch.optim import Optimizer, lr_scheduler
from torch.optim.swa_utils import SWALR

from lightning_dqn.collecting.exploration import Exploration
from lightning_dqn.data import ReplayDataModule
from lightning_dqn.dqn import DQN

EPSILON, LEARNING_RATE = "epsilon", "learning rate"

EPSILON_STEP = 0.01
"""Added at each key; the schedule goes on, moved by the sum."""

LEARNING_RATE_FACTOR = 1.25
"""Multiplied at each key; a schedule goes on, scaled by the product."""

_RATES = ("lr", "initial_lr", "max_lr", "min_lr", "swa_lr")
_RATES_OF_SCHEDULES = ("base_lrs", "max_lrs", "min_lrs", "default_min_lr", "eta_min")
_OF_SCHEDULES = (lr_scheduler.SequentialLR, lr_scheduler.ChainedScheduler)
_KNOWN = (
    lr_scheduler.LambdaLR,
    lr_scheduler.MultiplicativeLR,
    lr_scheduler.StepLR,
    lr_scheduler.MultiStepLR,
    lr_scheduler.ConstantLR,
    lr_scheduler.LinearLR,
    lr_scheduler.ExponentialLR,
    lr_scheduler.PolynomialLR,
    lr_scheduler.CosineAnnealingLR,
    lr_scheduler.CosineAnnealingWarmRestarts,
    lr_scheduler.CyclicLR,
    lr_scheduler.OneCycleLR,
    lr_scheduler.ReduceLROnPlateau,
    SWALR,
)
"""Schedules that keep their rates under those names and in the optimizer alone."""


class Changed(NamedTuple):
    """One change.

    Attributes:
        name: of the hyper-parameter.
        env_steps: of the run.
        value: from then on.
    """

    name: str
    env_steps: int
    value: float

    def __str__(self) -> str:
        return f"{self.name} {self.value:.4g} from env step {self.env_steps:,}"


class Tuning:
    """What was changed by hand; saved with the run and in force where it goes on.

    The learning rate is the optimizer's and saved with it; what moves epsilon is saved here.

    Attributes:
        changes: oldest first; of those at one env step the last counts.
        epsilon_shift: what is added to epsilon.
    """

    def __init__(self) -> None:
        self.changes: list[Changed] = []
        self.epsilon_shift = 0.0

    def values(self, module: DQN, data: ReplayDataModule) -> dict[str, float]:
        """Return what can be changed, and what it is now."""
        found = {}
        if data.collector is not None and _takes_random_actions(module, data):
            found[EPSILON] = data.collector.actor.epsilon(module, data.collector.env_steps)
        optimizers = module.trainer.optimizers
        if optimizers:
            found[LEARNING_RATE] = float(optimizers[0].param_groups[0]["lr"])
        return found

    def apply(self, data: ReplayDataModule) -> None:
        """Put what was changed in force where environments are new."""
        if data.collector is not None:
            data.collector.actor.epsilon_shift = self.epsilon_shift

    def change(self, name: str, steps: int, module: DQN, data: ReplayDataModule) -> Changed | None:
        """Change a hyper-parameter; between two iterations.

        Args:
            name: of it.
            steps: up, or down below 0.
            module: that learns.
            data: that collects.

        Returns:
            What it is now; None where there is no such thing in this run, or it follows a
            schedule that nobody knows to scale.
        """
        before = self.values(module, data)
        if name not in before:
            return None
        if name == EPSILON:
            # From where it is in force: beyond 0 and 1 nothing is stored up.
            wanted = min(max(before[name] + steps * EPSILON_STEP, 0.0), 1.0)
            self.epsilon_shift = round(self.epsilon_shift + wanted - before[name], 10)
            self.apply(data)
        elif not scale_learning_rate(module, LEARNING_RATE_FACTOR**steps):
            return None
        value = round(self.values(module, data)[name], 10)
        changed = Changed(name, module.env_steps, value)
        self._note(changed)
        return changed

    def state_dict(self) -> dict[str, Any]:
        """Return the changes as plain values; nothing where there were none."""
        if not self.changes:
            return {}
        changes = [tuple(one) for one in self.changes]
        return {"changes": changes, "epsilon_shift": self.epsilon_shift}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take them back."""
        self.changes = [Changed(*one) for one in state.get("changes", ())]
        self.epsilon_shift = state.get("epsilon_shift", 0.0)

    def _note(self, changed: Changed) -> None:
        if self.changes and self.changes[-1][:2] == changed[:2]:
            self.changes.pop()
        self.changes.append(changed)


def scale_learning_rate(module: DQN, factor: float) -> bool:
    """Multiply the learning rates, and those between which a schedule moves.

    Returns:
        Whether that could be done: where one of the schedules isn't torch's, nothing is.
    """
    schedules = [
        one for config in module.trainer.lr_scheduler_configs for one in _alone(config.scheduler)
    ]
    if not all(type(one) in _KNOWN for one in schedules):
        return False
    for optimizer in module.trainer.optimizers:
        _scale_groups(optimizer, factor)
    for schedule in schedules:
        _scale_schedule(schedule, factor)
    return True


def _alone(scheduler: Any) -> Iterator[Any]:
    """Yield the schedules that a schedule is made of, however deep; one by itself is its own."""
    if type(scheduler) not in _OF_SCHEDULES:
        yield scheduler
        return
    for inner in scheduler._schedulers:
        yield from _alone(inner)


def _scale_schedule(schedule: Any, factor: float) -> None:
    for name in _RATES_OF_SCHEDULES:
        rate = getattr(schedule, name, None)
        if isinstance(rate, list):
            setattr(schedule, name, [factor * one for one in rate])
        elif rate is not None:
            setattr(schedule, name, factor * rate)


def _scale_groups(optimizer: Optimizer, factor: float) -> None:
    for group in optimizer.param_groups:
        for name in _RATES:
            rate = group.get(name)
            if isinstance(rate, Tensor):
                rate.mul_(factor)
            elif isinstance(rate, int | float):
                group[name] = factor * rate


def _takes_random_actions(module: DQN, data: ReplayDataModule) -> bool:
    explores = module.agent.explores_by_noise
    if isinstance(data.collection, Exploration):
        return data.collection.takes_random_actions(explores)
    return not explores
