"""A rule: what it reads, when it finds something, and what to do then."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from lightning_dqn.diagnostics.doctor.history import History


class Facts(NamedTuple):
    """What a run was told to do, which rules hold against what it does; None: not known.

    Attributes:
        gamma: discount of one env step, the largest of its schedule.
        max_gradient_norm: that gradients are clipped to; infinite: never.
        updates_per_env_step: that were asked for.
        batch_size: B.
        capacity: rows of the ring.
        evaluates_alike: evaluation plays the environments that training does.
        num_envs: environments of training.
        trains_both_sides: training is self-play, whose returns are the rewards of both in sum.
        evaluates_both_sides: evaluation is.
        target_lags: the target network moves less often than after every update.
    """

    gamma: float | None = None
    max_gradient_norm: float | None = None
    updates_per_env_step: float | None = None
    batch_size: int | None = None
    capacity: int | None = None
    evaluates_alike: bool | None = None
    num_envs: int | None = None
    trains_both_sides: bool | None = None
    evaluates_both_sides: bool | None = None
    target_lags: bool | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Facts:
        """Return those of a mapping, what is unknown to it or in it left out."""
        return cls(**{name: values[name] for name in cls._fields if name in values})


@dataclass(frozen=True)
class Rule:
    """Something that goes wrong in Q-learning, and how a run's rows show it.

    Attributes:
        name: in a few words, joined by hyphens.
        reads: keys of the glossary.
        judge: returns in one sentence what is wrong, None where nothing is; its docstring has the
            threshold and where that is from.
        remedy: what to do.
        source: a paper or a known failure.
    """

    name: str
    reads: tuple[str, ...]
    judge: Callable[[History, Facts], str | None]
    remedy: str
    source: str


class Finding(NamedTuple):
    """What a rule found.

    Attributes:
        rule: its name.
        env_steps: when it began.
        last_env_steps: when it was seen last.
        what: is wrong, as it began.
        remedy: what to do.
    """

    rule: str
    env_steps: int
    last_env_steps: int
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.rule} since env step {self.env_steps:,}: {self.what}; {self.remedy}"
