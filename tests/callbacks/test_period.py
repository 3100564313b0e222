"""Periods and windows, counted by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from lightning_dqn.callbacks.period import Period, PeriodArguments


def at(*, updates: int = 0, env_steps: int = 0) -> Any:
    """Return what a period looks at of a module."""
    return SimpleNamespace(updates=updates, env_steps=env_steps)


def of(**arguments: Any) -> Period:
    return Period.of(arguments, default=7)  # type: ignore[arg-type]


# --- what is given


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, Period(7)),
        ({"every_n_updates": None, "every_n_env_steps": None, "until": None}, Period(7)),
        ({"every_n_updates": 3}, Period(3, counts_env_steps=False)),
        ({"every_n_env_steps": 5}, Period(5, counts_env_steps=True)),
        ({"start": 4}, Period(7, start=4)),
        (
            {"every_n_env_steps": 5, "start": 4, "until": 9},
            Period(5, counts_env_steps=True, start=4, until=9),
        ),
        ({"every_n_updates": 1, "until": 1}, Period(1, until=1)),
    ],
)
def test_arguments_become_a_period(arguments: dict[str, Any], expected: Period) -> None:
    assert of(**arguments) == expected


def test_every_argument_of_operations_is_taken() -> None:
    whole = {name: None for name in PeriodArguments.__annotations__} | {"start": 0}
    assert of(**whole) == Period(7)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"every_n_updates": 0}, "every_n_updates=0: at least 1"),
        ({"every_n_env_steps": 0}, "every_n_env_steps=0: at least 1"),
        ({"every_n_env_steps": -2}, "every_n_env_steps=-2: at least 1"),
        (
            {"every_n_updates": 2, "every_n_env_steps": 3},
            "every_n_updates=2, every_n_env_steps=3: give one of the two",
        ),
        ({"start": -1}, "start=-1: at least 0"),
        ({"start": 5, "until": 5}, "until=5: must lie above start=5"),
        ({"until": 0}, "until=0: must lie above start=0"),
    ],
)
def test_what_is_no_period_is_refused_by_name(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        of(**arguments)


def test_an_argument_of_no_period_is_refused() -> None:
    with pytest.raises(TypeError, match="every_n_epochs"):
        of(every_n_epochs=2)


# --- what is counted


def test_a_period_counts_updates_or_env_steps() -> None:
    module = at(updates=10, env_steps=83)
    assert of(every_n_updates=4).count(module) == 10
    assert of(every_n_env_steps=4).count(module) == 83


@pytest.mark.parametrize(
    ("updates", "number"), [(0, 0), (2, 0), (3, 1), (5, 1), (6, 2), (8, 2), (9, 3)]
)
def test_a_period_is_over_at_each_multiple_of_its_length(updates: int, number: int) -> None:
    assert of(every_n_updates=3).number(at(updates=updates, env_steps=1_000)) == number


def test_a_step_over_several_multiples_ends_several_periods() -> None:
    period = of(every_n_env_steps=5)
    assert [period.number(at(env_steps=steps)) for steps in (4, 16, 17, 20)] == [0, 3, 3, 4]


@pytest.mark.parametrize(
    ("arguments", "inside"),
    [
        ({}, [0, 1, 2, 3, 4, 5, 6]),
        ({"start": 2}, [2, 3, 4, 5, 6]),
        ({"until": 4}, [0, 1, 2, 3]),
        ({"start": 2, "until": 3}, [2]),
    ],
)
def test_a_window_takes_its_start_in_and_leaves_its_end_out(
    arguments: dict[str, int], inside: list[int]
) -> None:
    period = of(every_n_updates=1, **arguments)
    assert [count for count in range(7) if period.is_in_window(count)] == inside
