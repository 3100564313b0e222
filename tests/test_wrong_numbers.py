"""Numbers of another kind than an argument asks for are refused where they are given, by name."""

import inspect
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import pytorch_lightning as pl

import lightning_dqn.callbacks
from lightning_dqn.callbacks.period import PeriodArguments
from lightning_dqn.collecting.evaluation import EvaluationConfig
from lightning_dqn.collecting.source import CollectionConfig
from lightning_dqn.environments.frame_stack import FrameStack
from lightning_dqn.environments.tabular import GamblerVectorEnv, TorusVectorEnv
from lightning_dqn.games.opponents.past_selves import PastSelves
from lightning_dqn.games.opponents.search import SearchOpponent
from lightning_dqn.learning.augmentation import Augmentation
from lightning_dqn.learning.targets import Munchausen
from lightning_dqn.networks.torsos import MLP
from lightning_dqn.replay.samplers.lambda_returns import LambdaReturns
from lightning_dqn.replay.samplers.prioritized import PrioritizedSampling
from lightning_dqn.schedules import (
    ConstantSchedule,
    ExponentialSchedule,
    LinearSchedule,
    RestartedSchedule,
)

NO_WHOLE_NUMBER = (1.5, True, "3", float("nan"), -1)
NO_NUMBER = (True, "3", float("nan"))
NEEDED: dict[str, dict[str, Any]] = {
    "EMATargetNetwork": {"tau": 0.1},
    "ClipWeights": {"max_norm": 1.0},
    "FreezeLayers": {"part": "encoder"},
}
ALTERNATIVES = ("tau", "decay", "max_value", "max_norm", "max_spectral_norm")
"""Of several only one may be given."""


def callbacks() -> Iterator[tuple[Callable[..., Any], str, str]]:
    """Yield every callback that can be made, its arguments that are numbers, and their kinds."""
    for name in lightning_dqn.callbacks.__all__:
        kind = getattr(lightning_dqn.callbacks, name)
        if not (inspect.isclass(kind) and issubclass(kind, pl.Callback)):
            continue
        make = partial(kind, **NEEDED.get(name, {}))
        try:
            make()
        except TypeError:  # it is abstract, or made by a sweep
            continue
        parameters = inspect.signature(kind.__init__).parameters
        kinds = {name: str(one.annotation) for name, one in parameters.items()}
        if "period" in kinds:
            kinds |= dict.fromkeys(PeriodArguments.__annotations__, "int")
        for argument, annotation in kinds.items():
            if "int" in annotation or ("float" in annotation and "tuple" not in annotation):
                instead = argument in ALTERNATIVES
                yield kind if instead else make, argument, "int" if "int" in annotation else "float"


def wrong(kind: str) -> tuple[Any, ...]:
    """Return values that no argument of that kind may have."""
    return NO_WHOLE_NUMBER if kind == "int" else NO_NUMBER


@pytest.mark.parametrize(
    ("make", "argument", "value"),
    [
        pytest.param(
            make, argument, value, id=f"{getattr(make, 'func', make).__name__}-{argument}={value!r}"
        )
        for make, argument, kind in callbacks()
        for value in wrong(kind)
    ],
)
def test_a_callback_refuses_what_is_no_number_for_it(
    make: Callable[..., Any], argument: str, value: Any
) -> None:
    with pytest.raises(ValueError, match=rf"^(\w+: )?{argument}="):
        make(**{argument: value})


SETTINGS: list[tuple[Callable[..., Any], str, str]] = [
    (EvaluationConfig, "seed", "int"),
    (EvaluationConfig, "max_episode_steps", "int"),
    (CollectionConfig, "epsilon", "float"),
    (CollectionConfig, "temperature", "float"),
    (PrioritizedSampling, "alpha", "float"),
    (PrioritizedSampling, "beta", "float"),
    (PrioritizedSampling, "epsilon", "float"),
    (LambdaReturns, "trace", "float"),
    (Augmentation, "intensity", "float"),
    (Munchausen, "alpha", "float"),
    (Munchausen, "temperature", "float"),
    (MLP, "noisy_sigma", "float"),
    (ConstantSchedule, "value", "float"),
    (partial(LinearSchedule, 1.0, 0.0), "duration", "int"),
    (partial(LinearSchedule, 1.0, 0.0, 10), "after", "int"),
    (partial(LinearSchedule, end=0.0, duration=10), "start", "float"),
    (partial(LinearSchedule, 1.0, duration=10), "end", "float"),
    (partial(ExponentialSchedule, 1.0, 0.1), "duration", "int"),
    (partial(ExponentialSchedule, end=0.1, duration=10), "start", "float"),
    (partial(RestartedSchedule, ConstantSchedule(1.0)), "every", "int"),
    (partial(RestartedSchedule, ConstantSchedule(1.0), 10), "until", "int"),
    (FrameStack, "num_frames", "int"),
    (TorusVectorEnv, "size", "int"),
    (TorusVectorEnv, "max_episode_steps", "int"),
    (GamblerVectorEnv, "goal", "int"),
    (GamblerVectorEnv, "first_capital", "int"),
    (GamblerVectorEnv, "heads", "float"),
    (PastSelves, "capacity", "int"),
    (PastSelves, "epsilon", "float"),
    (SearchOpponent, "depth", "int"),
]


@pytest.mark.parametrize(
    ("make", "argument", "value"),
    [(make, argument, value) for make, argument, kind in SETTINGS for value in wrong(kind)],
)
def test_settings_refuse_what_is_no_number_for_them(
    make: Callable[..., Any], argument: str, value: Any
) -> None:
    with pytest.raises(ValueError, match=rf"^{argument}="):
        make(**{argument: value})


def test_whole_numbers_may_be_floats_that_are_some() -> None:
    schedule = LinearSchedule(1.0, 0.0, 1e6)  # type: ignore[arg-type]
    assert schedule.duration == 1_000_000
    assert isinstance(schedule.duration, int)
