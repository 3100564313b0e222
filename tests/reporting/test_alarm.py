"""The alarm when learning breaks: at once on the CPU, at the next look elsewhere, once."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from lightning_dqn.reporting.alarm import Alarm
from lightning_dqn.system import devices
from lightning_dqn.system.faults import NonFiniteError
from lightning_dqn.transitions import UpdateStatistics

NETWORK = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))


@pytest.fixture(params=[True, False], ids=["cpu", "accelerator"], autouse=True)
def _lies_where(request, monkeypatch) -> None:
    monkeypatch.setattr(devices, "is_read_freely", lambda _: request.param)


def note(
    alarm: Alarm,
    statistics: Tensor,
    *,
    squares: Tensor | None = None,
    priority: Tensor | None = None,
    updates: int = 12,
    env_steps: int = 345,
) -> None:
    number = len(statistics)
    alarm.note(
        statistics,
        torch.ones(number, 5) if priority is None else priority,
        torch.ones(number, 4) if squares is None else squares,
        updates=updates,
        env_steps=env_steps,
    )


def poisoned(column: str, value: float) -> Tensor:
    place = UpdateStatistics._fields.index(column)
    statistics = torch.ones(3, max(4, place + 1))  # the last is told of where there is one
    statistics[1, place] = value
    return statistics


def test_finite_updates_pass() -> None:
    alarm = Alarm()
    alarm.check(NETWORK)
    for _ in range(3):
        note(alarm, torch.full((3, 4), 1e30))
        alarm.check(NETWORK)


@pytest.mark.parametrize("column", UpdateStatistics._fields)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_any_number_that_is_not_finite_sounds_the_alarm(column: str, value: float) -> None:
    alarm = Alarm()
    note(alarm, poisoned(column, value))
    with pytest.raises(NonFiniteError, match=f"{column} {value:g}"):
        alarm.check(NETWORK)


def test_it_names_the_first_such_update_with_all_its_numbers_and_sounds_once() -> None:
    alarm = Alarm()
    note(alarm, torch.ones(3, 4), updates=9, env_steps=300)
    statistics = torch.tensor(
        [[1.0, 2.0, 3.0, 4.0], [0.5, 2.25, 3.0, math.inf], [math.nan, 0.0, 0.0, 0.0]]
    )
    squares = torch.ones(3, 4)
    squares[1, 2:] = math.inf
    note(alarm, statistics, squares=squares)
    note(alarm, torch.full((3, 4), math.nan), updates=15, env_steps=400)
    note(alarm, torch.ones(3, 4), updates=18, env_steps=450)
    with pytest.raises(NonFiniteError) as caught:
        alarm.check(NETWORK)
    # updates 10, 11 and 12; the second is the first that broke
    assert str(caught.value) == (
        "update 11 (env step 345) was not finite: loss 0.5, q_value 2.25, td_error 3, "
        "gradient_norm inf; it began in the gradient of 1.weight and of 1 more parameters. The "
        "weights did not see it. Lower the learning rate or max_gradient_norm, or scale the "
        "rewards down"
    )
    alarm.check(NETWORK)


def test_it_says_where_it_began() -> None:
    squares, priority = torch.ones(3, 4), torch.ones(3, 5)
    squares[1, 1] = priority[1, 3] = math.nan
    cases = {
        "the loss": {"statistics": poisoned("loss", math.nan), "squares": squares},
        "the gradient of 0.bias": {
            "statistics": poisoned("gradient_norm", math.nan),
            "squares": squares,
        },
        "the sum of all gradients' squares": {"statistics": poisoned("gradient_norm", math.inf)},
        "what is told of it": {"statistics": poisoned("q_value", math.inf)},
        "a priority": {"statistics": torch.ones(3, 4), "priority": priority},
    }
    for origin, given in cases.items():
        alarm = Alarm()
        note(alarm, **given)
        with pytest.raises(NonFiniteError, match=rf"^update 11 .*; it began in {origin}"):
            alarm.check(NETWORK)


def test_frozen_parameters_are_not_counted() -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    network[0].requires_grad_(False)
    alarm = Alarm()
    squares = torch.tensor([[1.0, math.nan]] * 3)
    note(alarm, poisoned("gradient_norm", math.nan), squares=squares)
    with pytest.raises(NonFiniteError, match=r"the gradient of 1\.bias"):
        alarm.check(network)
