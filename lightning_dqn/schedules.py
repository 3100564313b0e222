"""Values that change over a run: epsilon, tau.

A schedule is a pure function of a count. The argument that takes the schedule says what is counted:
epsilon counts env steps, tau counts updates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import copysign, inf

from lightning_dqn.system.numbers import check_finite, finite_number, keep_plain, keep_whole

Schedule = Callable[[int], float]


def ends(name: str, value: float | Schedule) -> Iterator[tuple[str, float]]:
    """Yield the values, with their names, between which a number or a schedule of this file stays.

    For a function of the user's own nothing is known, so nothing is yielded.

    Args:
        name: of the argument that takes it.
        value: the number or schedule.

    Raises:
        ValueError: it is neither a number nor a function.
    """
    if not callable(value):
        yield name, finite_number(name, value)
    if isinstance(value, RestartedSchedule):
        yield from ends(f"{name}.schedule", value.schedule)
    for end in ("value", "start", "end"):
        if hasattr(value, end):
            yield f"{name}.{end}", getattr(value, end)


@dataclass(frozen=True)
class ConstantSchedule:
    """The same ``value`` at every count."""

    value: float

    def __post_init__(self) -> None:
        keep_plain(self)
        check_finite(self, "value")

    def __call__(self, count: int) -> float:
        """Return the value at ``count``."""
        return self.value


@dataclass(frozen=True)
class LinearSchedule:
    """A straight line from ``start`` to ``end``, constant before and after it.

    Args:
        start: value up to the count ``after``.
        end: value from the count ``after`` + ``duration`` on.
        duration: length of the line.
        after: the count at which it begins, for example the end of the warm-up.
    """

    start: float
    end: float
    duration: int
    after: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        keep_plain(self)
        check_finite(self, "start", "end")
        keep_whole(self, duration=1, after=0)

    def __call__(self, count: int) -> float:
        """Return the value at ``count``."""
        share = min(max(count - self.after, 0) / self.duration, 1.0)
        return self.start + (self.end - self.start) * share


@dataclass(frozen=True)
class ExponentialSchedule:
    """From ``start`` at 0 to ``end`` at ``duration`` by equal factors, then ``end``."""

    start: float
    end: float
    duration: int

    def __post_init__(self) -> None:
        keep_plain(self)
        check_finite(self, "start", "end")
        keep_whole(self, duration=1)
        if self.start <= 0 or self.end <= 0:
            raise ValueError(
                f"start={self.start}, end={self.end}: an exponential schedule stays above 0; "
                "use a linear one to reach 0"
            )

    def __call__(self, count: int) -> float:
        """Return the value at ``count``."""
        return self.start * (self.end / self.start) ** min(count / self.duration, 1.0)


@dataclass(frozen=True)
class HorizonSchedule:
    """A discount from ``start`` to ``end`` at ``duration``; 1 - discount changes by equal factors.

    The horizon 1 / (1 - discount) then grows exponentially: from 33 env steps at 0.97 to 333 at
    0.997, as in Schwarzer et al. 2023 (arxiv.org/abs/2305.19452). Negative discounts, of self-play,
    do so by their size.
    """

    start: float
    end: float
    duration: int

    def __post_init__(self) -> None:
        keep_plain(self)
        check_finite(self, "start", "end")
        keep_whole(self, duration=1)
        if not (abs(self.start) < 1 and abs(self.end) < 1):
            raise ValueError(
                f"start={self.start}, end={self.end}: the size of a discount with a horizon lies "
                "below 1"
            )
        if self.start * self.end < 0:
            raise ValueError(
                f"start={self.start}, end={self.end}: discounts of one sign; they are negative in "
                "self-play"
            )

    def __call__(self, count: int) -> float:
        """Return the value at ``count``."""
        share = min(count / self.duration, 1.0)
        first, last = 1 - abs(self.start), 1 - abs(self.end)
        return copysign(1 - first * (last / first) ** share, self.start + self.end)


@dataclass(frozen=True)
class RestartedSchedule:
    """A schedule that restarts at every multiple of ``every``, for example with network resets.

    Args:
        schedule: what restarts.
        every: period of the restarts, in the schedule's unit.
        until: the first multiple without a restart; None: no end.
        after: the count at which it begins for the first time.
    """

    schedule: Schedule
    every: int
    until: int | None = None
    after: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        keep_plain(self)
        keep_whole(self, every=1, after=0)
        if self.until is not None:
            keep_whole(self, until=1)

    def __call__(self, count: int) -> float:
        """Return the value at ``count``."""
        restarts = count // self.every
        if self.until is not None:
            restarts = min(restarts, (self.until - 1) // self.every)
        return self.schedule(max(count - max(restarts * self.every, self.after), 0))


def as_schedule(
    value: float | Schedule, name: str | None = None, least: float = 0.0, most: float = inf
) -> Schedule:
    """Take a number for a constant schedule; leave a schedule as it is.

    Args:
        value: either of them.
        name: of the argument that takes it. With a name, values of the user's own functions are
            checked at every call; schedules of this file were checked by the argument.
        least: the smallest allowed value.
        most: the largest.
    """
    if not callable(value):
        return ConstantSchedule(value)
    if name is None or _is_of_this_file(value):
        return value

    def checked(count: int) -> float:
        found = value(count)
        if not least <= found <= most:
            raise ValueError(
                f"{name}: the schedule gives {found} at {count:,}; expected {least:g} to {most:g}"
            )
        return found

    return checked


def _is_of_this_file(schedule: Schedule) -> bool:
    if isinstance(schedule, RestartedSchedule):
        return _is_of_this_file(schedule.schedule)
    return type(schedule).__module__ == __name__
