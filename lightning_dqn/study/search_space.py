"""What a search may choose from, in the words of Hydra's overrides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException

from lightning_dqn.reporting.optuna_study import load_optuna
from lightning_dqn.runs.build import ConfigError
from lightning_dqn.runs.mistakes import one_line

FORMS = "choice(32,64), range(1,5), interval(0.0,1.0) or tag(log,interval(1e-5,1e-2))"
_DIGITS = 4
_LOG = "log"
_WITHIN = (3 - 5**0.5) / 2  # a part of a whole number that is none


@dataclass(frozen=True)
class Choice:
    """One of several values, each as it stands in an override."""

    values: tuple[str, ...]

    def distribution(self) -> Any:
        """Return it as Optuna has it."""
        return load_optuna().distributions.CategoricalDistribution(self.values)

    def text(self, value: Any) -> str:
        """Return a value as it stands in an override."""
        if value not in self.values:
            raise ConfigError(f"{value!r}: none of {', '.join(self.values)}")
        return str(value)

    def short(self, value: Any) -> str:
        """Return a value for people."""
        return self.text(value)

    def samples(self) -> list[str]:
        """Return values between which lie all others."""
        return list(self.values)


@dataclass(frozen=True)
class Number:
    """A number from ``low`` to ``high``, both included.

    Attributes:
        low: the least.
        high: the most.
        step: between two; None: any.
        log: whether its powers are as likely, not its values.
    """

    low: float
    high: float
    step: float | None = None
    log: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether it is an integer."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def distribution(self) -> Any:
        """Return it as Optuna has it."""
        kinds = load_optuna().distributions
        if self.is_whole:
            return kinds.IntDistribution(self.low, self.high, log=self.log, step=self.step or 1)
        return kinds.FloatDistribution(self.low, self.high, log=self.log, step=self.step)

    def text(self, value: Any) -> str:
        """Return a value as it stands in an override, in full."""
        return str(int(value)) if self.is_whole else repr(float(value))

    def short(self, value: Any) -> str:
        """Return a value for people."""
        return self.text(value) if self.is_whole else f"{float(value):.{_DIGITS}g}"

    def samples(self) -> list[str]:
        """Return the least, the most, and one between that isn't whole where none has to be."""
        span = self.high - self.low
        between = self.low + (_WITHIN * span if self.step is None else min(self.step, span))
        return [self.text(one) for one in (self.low, between, self.high)]


Dimension = Choice | Number


def dimension_of(override: Override) -> Dimension:
    """Return what an override lets a search choose from.

    Raises:
        ConfigError: it is a single value, or another kind of sweep.
    """
    text, value = override.input_line, override.value()
    tags: set[str] = getattr(value, "tags", set())
    if others := tags - {_LOG}:
        raise ConfigError(f"{text}: the tag {min(others)} means nothing here; there is {_LOG}")
    if isinstance(value, ChoiceSweep):
        return Choice(tuple(override.sweep_string_iterator()))
    if isinstance(value, IntervalSweep):
        assert value.start is not None
        assert value.end is not None, "by Hydra's grammar"
        found = Number(value.start, value.end, log=_LOG in tags)
    elif isinstance(value, RangeSweep):
        found = _range(text, value)
    else:
        raise ConfigError(f"{text}: nothing to search; expected {FORMS}")
    return _checked(text, found)


def _range(text: str | None, value: RangeSweep) -> Number:
    """Return a range with its last value, which as in a grid is below its end."""
    numbers = list(value.range())
    if not numbers:
        raise ConfigError(f"{text}: has no values")
    is_log, step, low = _LOG in value.tags, value.step, numbers[0]
    # In decimals, as Optuna counts its steps: of binary fractions the last would fall short.
    high = type(low)(Decimal(str(low)) + (len(numbers) - 1) * Decimal(str(step)))
    return Number(low, high, None if is_log and step == 1 else step, is_log)


def _checked(text: str | None, number: Number) -> Number:
    if number.low > number.high:
        raise ConfigError(f"{text}: its low end is above its high end")
    if number.log and number.low <= 0:
        raise ConfigError(f"{text}: a logarithm takes numbers above 0")
    if number.log and number.step is not None:
        raise ConfigError(f"{text}: a logarithm takes no step")
    return number


@dataclass(frozen=True)
class SearchSpace:
    """Dimensions by the keys that they set.

    Attributes:
        dimensions: each what an override has behind its key, as ``choice(32,64)``.
    """

    dimensions: Mapping[str, Dimension]

    @classmethod
    def of(cls, texts: Mapping[str, str]) -> SearchSpace:
        """Read texts by their keys.

        Raises:
            ConfigError: one can't be read, or nothing can be chosen by it.
        """
        found = {}
        for key, text in texts.items():
            line = f"{key}={text}"
            try:
                override = OverridesParser.create().parse_override(line)
            except HydraException as error:
                reason = f"{line}: can't be read ({one_line(error)}); expected {FORMS}"
                raise ConfigError(reason) from error
            found[key] = dimension_of(override)
        return cls(found)

    def distributions(self) -> dict[str, Any]:
        """Return what Optuna draws from."""
        return {key: one.distribution() for key, one in self.dimensions.items()}

    def overrides(self, values: Mapping[str, Any]) -> list[str]:
        """Return the overrides of a trial.

        Raises:
            ConfigError: a value is none of the space.
        """
        return [f"{key}={one.text(values[key])}" for key, one in self.dimensions.items()]

    def short(self, values: Mapping[str, Any]) -> dict[str, str]:
        """Return the values of a trial for people."""
        return {key: one.short(values[key]) for key, one in self.dimensions.items()}

    def samples(self) -> list[tuple[str, ...]]:
        """Return the overrides of a few trials, all different, in which each sample occurs."""
        columns = {key: one.samples() for key, one in self.dimensions.items()}
        count = max(len(column) for column in columns.values())
        rows = (
            tuple(f"{key}={column[row % len(column)]}" for key, column in columns.items())
            for row in range(count)
        )
        return list(dict.fromkeys(rows))
