"""A learning rate that is changed by hand: from then on its schedule is as it was, times that."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.optim import Optimizer
from torch.optim import lr_scheduler as schedules
from torch.optim.swa_utils import SWALR

from lightning_dqn.live.tuning import _KNOWN, LEARNING_RATE, Tuning, scale_learning_rate

STEPS, AT = 16, 3


def falling(optimizer: Optimizer) -> Any:
    return schedules.LambdaLR(optimizer, lambda step: 1 - 0.01 * step)


def warmed_up(optimizer: Optimizer, *, then: Callable[[Optimizer], Any]) -> Any:
    warm_up = schedules.LinearLR(optimizer, 0.1, 1.0, 6)
    return schedules.SequentialLR(optimizer, [warm_up, then(optimizer)], [6])


MAKERS: dict[str, Callable[[Optimizer], Any]] = {
    "LambdaLR": falling,
    "MultiplicativeLR": lambda o: schedules.MultiplicativeLR(o, lambda step: 0.9),
    "StepLR": lambda o: schedules.StepLR(o, 5),
    "MultiStepLR": lambda o: schedules.MultiStepLR(o, [5, 9]),
    "ConstantLR": lambda o: schedules.ConstantLR(o, 0.5, 6),
    "LinearLR": lambda o: schedules.LinearLR(o, 1.0, 0.1, 10),
    "ExponentialLR": lambda o: schedules.ExponentialLR(o, 0.9),
    "PolynomialLR": lambda o: schedules.PolynomialLR(o, 20),
    "CosineAnnealingLR": lambda o: schedules.CosineAnnealingLR(o, 5, eta_min=0.1),
    "CosineAnnealingWarmRestarts": lambda o: schedules.CosineAnnealingWarmRestarts(
        o, 5, eta_min=0.1
    ),
    "CyclicLR": lambda o: schedules.CyclicLR(o, 0.1, 1.0, 4, cycle_momentum=False),
    "OneCycleLR": lambda o: schedules.OneCycleLR(o, 1.0, total_steps=20, cycle_momentum=False),
    "ReduceLROnPlateau": lambda o: schedules.ReduceLROnPlateau(o, patience=2, min_lr=0.05),
    "SWALR": lambda o: SWALR(o, 0.1, anneal_epochs=10),
    "warm-up and cosine": lambda o: warmed_up(
        o, then=lambda o: schedules.CosineAnnealingLR(o, 20, eta_min=0.1)
    ),
    "warm-up and another": lambda o: warmed_up(o, then=falling),
    "chained": lambda o: schedules.ChainedScheduler(
        [falling(o), schedules.ExponentialLR(o, 0.9)], o
    ),
    "within one another": lambda o: schedules.ChainedScheduler([warmed_up(o, then=falling)], o),
}


def rates(make: Callable[[Optimizer], Any], factor: float | None) -> list[float]:
    """Return the rates of a schedule that is scaled in its midst, where there is a factor."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer)
    configs = [SimpleNamespace(scheduler=scheduler)]
    trainer = SimpleNamespace(optimizers=[optimizer], lr_scheduler_configs=configs)
    module: Any = SimpleNamespace(trainer=trainer)
    found = []
    for step in range(STEPS):
        if step == AT and factor is not None:
            assert scale_learning_rate(module, factor)
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        is_plateau = isinstance(scheduler, schedules.ReduceLROnPlateau)
        scheduler.step(*([1.0] if is_plateau else []))
    return found


@pytest.mark.parametrize("name", MAKERS)
def test_a_schedule_goes_on_scaled(name: str) -> None:
    plain, scaled = rates(MAKERS[name], None), rates(MAKERS[name], 1.25)
    assert len(set(plain)) > 1
    assert scaled[:AT] == plain[:AT]
    assert scaled[AT:] == pytest.approx([1.25 * rate for rate in plain[AT:]])


def test_each_schedule_that_is_scaled_is_tried() -> None:
    assert {kind.__name__ for kind in _KNOWN} <= set(MAKERS)


class Sine(schedules.LRScheduler):
    """A schedule of the user's own, with a rate of its own."""

    def get_lr(self) -> list[float]:
        return [0.5 + 0.1 * float(torch.tensor(self.last_epoch).sin())]


class Others(schedules.LambdaLR):
    """What another makes of torch's."""


@pytest.mark.parametrize(
    "make",
    [
        Sine,
        lambda o: Others(o, lambda step: 0.5),
        lambda o: warmed_up(o, then=Sine),
    ],
)
def test_an_unknown_schedule_is_left_alone(make: Callable[[Optimizer], Any]) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    configs = [SimpleNamespace(scheduler=make(optimizer))]
    trainer = SimpleNamespace(optimizers=[optimizer], lr_scheduler_configs=configs)
    before = [dict(group) for group in optimizer.param_groups]
    module: Any = SimpleNamespace(trainer=trainer)
    data: Any = SimpleNamespace(collector=None)
    tuning = Tuning()
    assert tuning.change(LEARNING_RATE, 1, module, data) is None
    assert tuning.changes == []
    assert [dict(group) for group in optimizer.param_groups] == before
