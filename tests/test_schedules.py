"""Schedules: pure functions of a count."""

from __future__ import annotations

import pytest

from lightning_dqn.schedules import (
    ConstantSchedule,
    ExponentialSchedule,
    HorizonSchedule,
    LinearSchedule,
    RestartedSchedule,
    as_schedule,
    ends,
)


@pytest.mark.parametrize("kind", [LinearSchedule, ExponentialSchedule])
def test_it_starts_at_start_reaches_end_at_duration_and_stays(kind):
    schedule = kind(1.0, 0.05, 1_000)
    assert schedule(0) == 1.0
    assert schedule(999) > 0.05
    for count in (1_000, 1_001, 10**12):
        assert schedule(count) == pytest.approx(0.05)


def test_linear_is_half_way_at_half_time():
    assert LinearSchedule(1.0, 0.0, 10)(5) == 0.5
    assert LinearSchedule(0.0, 1.0, 10)(3) == pytest.approx(0.3)


def test_a_line_may_begin_after_a_warm_up_and_lasts_as_long_from_there() -> None:
    schedule = LinearSchedule(1.0, 0.0, 10, after=100)
    assert [schedule(n) for n in (0, 99, 100)] == [1.0, 1.0, 1.0]
    assert schedule(103) == pytest.approx(0.7)
    assert [schedule(n) for n in (110, 10**6)] == [0.0, 0.0]


def test_exponential_changes_by_equal_factors():
    schedule = ExponentialSchedule(1.0, 0.01, 10)
    assert schedule(5) == pytest.approx(0.1)
    factors = [schedule(i + 1) / schedule(i) for i in range(10)]
    assert factors == pytest.approx([factors[0]] * 10)


def test_a_constant_never_changes():
    assert {ConstantSchedule(0.3)(count) for count in (0, 1, 10**12)} == {0.3}


def test_a_number_is_a_constant_and_a_schedule_itself():
    assert as_schedule(1) == ConstantSchedule(1.0)
    schedule = LinearSchedule(1.0, 0.0, 10)
    assert as_schedule(schedule) is schedule


@pytest.mark.parametrize("value", [1.5, -0.5])
def test_a_function_of_ones_own_stays_between_both_bounds(value: float) -> None:
    schedule = as_schedule(lambda count: value if count == 7 else count % 2, "epsilon", most=1.0)
    assert [schedule(count) for count in (0, 1)] == [0, 1]
    with pytest.raises(ValueError, match=f"^epsilon: .* gives {value} at 7; expected 0 to 1$"):
        schedule(7)


@pytest.mark.parametrize("kind", [LinearSchedule, ExponentialSchedule])
@pytest.mark.parametrize("duration", [0, -1])
def test_a_duration_of_nothing_is_refused(kind, duration):
    with pytest.raises(ValueError, match=f"duration={duration}"):
        kind(1.0, 0.5, duration)


@pytest.mark.parametrize(("start", "end"), [(1.0, 0.0), (0.0, 1.0), (1.0, -0.5)])
def test_an_exponential_schedule_that_would_reach_zero_is_refused(start, end):
    with pytest.raises(ValueError, match="use a linear one"):
        ExponentialSchedule(start, end, 10)


def test_a_horizon_grows_by_equal_factors():
    schedule = HorizonSchedule(0.97, 0.997, 10_000)
    assert [schedule(n) for n in (0, 10_000, 10**9)] == pytest.approx([0.97, 0.997, 0.997])
    assert 1 - schedule(5_000) == pytest.approx((0.03 * 0.003) ** 0.5)


def test_the_horizon_of_a_negative_discount_grows_alike():
    schedule = HorizonSchedule(-0.9, -0.99, 100)
    assert [schedule(n) for n in (0, 50, 100)] == pytest.approx([-0.9, -1 + 0.001**0.5, -0.99])
    with pytest.raises(ValueError, match=r"^start=0.9, end=-0.9: discounts of one sign"):
        HorizonSchedule(0.9, -0.9, 10)


@pytest.mark.parametrize(("start", "end"), [(1.0, 0.9), (0.9, 1.0), (-1.0, -0.9)])
def test_a_discount_without_a_horizon_is_refused(start, end):
    with pytest.raises(ValueError, match=rf"^start={start}, end={end}: .* lies below 1$"):
        HorizonSchedule(start, end, 10)


def test_a_restarted_schedule_begins_anew_at_each_multiple():
    schedule = RestartedSchedule(LinearSchedule(10, 0, 10), every=20)
    assert [schedule(n) for n in (0, 4, 10, 19, 20, 24, 39, 40)] == [10, 6, 0, 0, 10, 6, 0, 10]


def test_a_restarted_schedule_begins_anew_no_more_from_its_until_on():
    schedule = RestartedSchedule(LinearSchedule(10, 0, 10), every=20, until=40)
    assert [schedule(n) for n in (20, 39, 40, 45, 10**6)] == [10, 0, 0, 0, 0]
    late = RestartedSchedule(LinearSchedule(10, 0, 10), every=20, until=41)
    assert [late(n) for n in (40, 45, 60)] == [10, 5, 0]


def test_a_restarted_schedule_may_begin_later_and_restarts_at_the_same_multiples() -> None:
    schedule = RestartedSchedule(LinearSchedule(10, 0, 10), every=20, after=5)
    assert [schedule(n) for n in (0, 5, 9, 15, 19, 20, 24)] == [10, 10, 6, 0, 0, 10, 6]
    late = RestartedSchedule(LinearSchedule(10, 0, 10), every=20, after=25)
    assert [late(n) for n in (0, 20, 25, 29, 39, 40, 44)] == [10, 10, 10, 6, 0, 10, 6]


def test_what_begins_before_the_first_count_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^after=-1: at least 0$"):
        LinearSchedule(1.0, 0.5, 10, after=-1)
    with pytest.raises(ValueError, match=r"^after=-1: at least 0$"):
        RestartedSchedule(ConstantSchedule(1.0), every=5, after=-1)


def test_the_ends_of_a_restarted_schedule_are_those_of_the_one_inside():
    restarted = RestartedSchedule(LinearSchedule(0.9, 0.1, 10), every=20)
    assert dict(ends("epsilon", restarted)) == {
        "epsilon.schedule.start": 0.9,
        "epsilon.schedule.end": 0.1,
    }


@pytest.mark.parametrize(("every", "until"), [(0, None), (5, 0)])
def test_a_restart_out_of_range_is_refused(every, until):
    with pytest.raises(ValueError, match=r"^(every|until)=0: at least 1"):
        RestartedSchedule(ConstantSchedule(1.0), every=every, until=until)
