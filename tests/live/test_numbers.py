"""Numbers in few characters."""

import math

import pytest

from lightning_dqn.live.numbers import clock, count, short


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0, "0"),
        (12.0, "12"),
        (0.12345, "0.1235"),
        (1e-5, "1.00e-05"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        (12345.678, "12346"),
        (-1.5e9, "-1.50e+09"),
    ],
)
def test_values_are_short(value, told):
    assert short(value) == told
    assert len(short(value)) <= 9


@pytest.mark.parametrize(
    ("value", "told"), [(0, "0"), (999, "999"), (12_345, "12.3k"), (2e6, "2M")]
)
def test_counts_have_units(value, told):
    assert count(value) == told


def test_durations_are_hours_minutes_and_seconds():
    assert [clock(s) for s in (-1, 59.9, 3723)] == ["00:00", "00:59", "1:02:03"]
