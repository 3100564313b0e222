"""What a configuration's nodes may name: a class with an argument of each kind, and its faults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Unpack

from lightning_dqn.callbacks.period import PeriodArguments
from lightning_dqn.schedules import LinearSchedule


class Thing:
    """Keeps its arguments; a negative size is refused."""

    def __init__(
        self,
        *,
        size: int = 1,
        rate: float | None = 0.5,
        flag: bool = False,
        name: str = "thing",
        mode: Literal["a", "b"] = "a",
        schedule: LinearSchedule | None = None,
        function: Callable[[int], float] | None = None,
        inner: Any = None,
        **period: Unpack[PeriodArguments],
    ) -> None:
        if size < 0:
            raise ValueError(f"size={size}: at least 0\nand more")
        self.given = {"size": size, "rate": rate, "flag": flag, "name": name, "inner": inner}
        self.period = period


def fails(reason: str) -> None:
    """Raise what isn't a mistake of an argument."""
    raise RuntimeError(reason)


def fails_for(value: int) -> None:
    """Raise a ValueError that doesn't begin with an argument's name."""
    raise ValueError(f"That's too much ({value}=3)")
