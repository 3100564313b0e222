"""When an operation acts, and that a continued run goes on as the unbroken one would."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from support.fixed_iterations import Do, FixedIterations, one_thread

from lightning_dqn import DQN
from lightning_dqn.callbacks import (
    ClipWeights,
    CountedOperation,
    EMATargetNetwork,
    FreezeLayers,
    ModelOperation,
    PeriodicReset,
    ReDo,
    ShrinkAndPerturb,
    WeightAverage,
)
from lightning_dqn.callbacks.period import PeriodArguments
from lightning_dqn.runs.build import ConfigError, build
from lightning_dqn.runs.compose import compose

Make = Callable[..., Any]


class Counting(CountedOperation):
    """Notes when it acts, and the seed it would draw from."""

    def __init__(self, name: str = "", **when: Any) -> None:
        super().__init__(**when)
        self.name = name
        self.acts: list[tuple[int, int]] = []
        self.seeds: list[int] = []

    @property
    def state_key(self) -> str:
        return f"Counting[{self.name}]"

    def act(self, module: DQN) -> None:
        self.acts.append((module.updates, module.env_steps))
        self.seeds.append(self.seed_of_act())


@pytest.fixture
def fit(make_trainer: Make, make_module: Make) -> Iterator[Make]:
    """A function that fits 12 updates and 24 env steps an epoch, and returns module and trainer."""

    def run(
        *operations: pl.Callback,
        module: DQN | None = None,
        ckpt: Path | None = None,
        **trainer: Any,
    ) -> tuple[DQN, pl.Trainer]:
        module = module or make_module()
        assert module is not None
        made = make_trainer(callbacks=[EMATargetNetwork(tau=0.5), *operations], **trainer)
        made.fit(module, FixedIterations(module), [], ckpt_path=ckpt)
        return module, made

    with one_thread():
        yield run


# --- wrong arguments


@pytest.mark.parametrize("kind", [WeightAverage, PeriodicReset, ShrinkAndPerturb, ReDo])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"every_n_updates": 0}, "every_n_updates=0: at least 1"),
        ({"every_n_env_steps": -2}, "every_n_env_steps=-2: at least 1"),
        ({"every_n_updates": 2, "every_n_env_steps": 2}, "give one of the two"),
        ({"start": -1}, "start=-1: at least 0"),
        ({"start": 5, "until": 5}, "until=5: must lie above start=5"),
    ],
)
def test_wrong_periods_and_windows_are_refused_by_name(
    kind: type[ModelOperation], arguments: dict[str, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**arguments)


@pytest.mark.parametrize(
    "operation", [PeriodicReset(), ReDo(), FreezeLayers(), ClipWeights(max_norm=1), WeightAverage()]
)
def test_another_module_than_a_dqn_is_refused_by_the_operations_name(
    operation: ModelOperation,
) -> None:
    name = type(operation).__name__
    with pytest.raises(TypeError, match=f"{name} needs a DQN, not a LightningModule"):
        operation.setup(pl.Trainer.__new__(pl.Trainer), pl.LightningModule(), "fit")


# --- when it acts


@pytest.mark.parametrize(
    ("arguments", "updates"),
    [
        ({}, list(range(1, 13))),
        ({"every_n_updates": 3}, [3, 6, 9, 12]),
        ({"every_n_updates": 5}, [5, 10]),
        ({"every_n_updates": 3, "start": 4}, [6, 9, 12]),
        ({"every_n_updates": 3, "start": 6, "until": 9}, [6]),
        ({"every_n_updates": 3, "until": 10}, [3, 6, 9]),
        ({"every_n_updates": 13}, []),
        # Two env steps an update: multiples of 5 are passed at 6, 10, 16, 20.
        ({"every_n_env_steps": 5}, [3, 5, 8, 10]),
        ({"every_n_env_steps": 5, "start": 6}, [5, 8, 10]),
        ({"every_n_env_steps": 5, "start": 5, "until": 15}, [3, 5]),
        ({"every_n_env_steps": 1, "until": 7}, [1, 2, 3]),
    ],
)
def test_it_acts_at_the_multiples_of_its_period_inside_its_window(
    fit: Make, arguments: dict[str, int], updates: list[int]
) -> None:
    operation = Counting(**arguments)
    fit(operation)
    assert operation.acts == [(update, 2 * update) for update in updates]
    assert operation.times_acted == len(updates)


def test_operations_act_in_the_order_of_the_callbacks(fit: Make) -> None:
    tape: list[str] = []
    fit(Do(lambda m: tape.append("a")), Do(lambda m: tape.append("b"), every_n_updates=4))
    assert tape == ["a", "a", "a", "a", "b"] * 3


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_nothing_is_left_in_the_loop(fit: Make, make_module: Make, error: type) -> None:
    module = make_module()
    fit(Counting(), module=module)
    assert module.after_update == []

    def fail(module: DQN) -> None:
        raise error("stop here")

    with pytest.raises((error, SystemExit)):
        fit(Counting(), Do(fail), module=module)
    assert module.after_update == []


# --- going on


@pytest.mark.parametrize("arguments", [{"every_n_updates": 5}, {"every_n_env_steps": 9}])
def test_a_continued_run_acts_and_draws_as_the_unbroken_one(
    fit: Make, tmp_path: Path, arguments: dict[str, int]
) -> None:
    torch.manual_seed(3)
    whole, first = Counting(**arguments), Counting(**arguments)
    fit(whole, max_epochs=2)
    _, trainer = fit(first)
    trainer.save_checkpoint(path := tmp_path / "a.ckpt")
    assert torch.load(path, weights_only=True)["callbacks"]
    torch.manual_seed(4)
    second = Counting(**arguments)
    fit(second, max_epochs=2, ckpt=path)
    assert first.acts + second.acts == whole.acts
    assert first.seeds + second.seeds == whole.seeds
    assert second.times_acted == whole.times_acted == len(whole.acts)
    assert len(set(whole.seeds)) == len(whole.seeds) > 3


def test_a_second_fit_goes_on_and_a_new_module_begins_anew(fit: Make, make_module: Make) -> None:
    operation = Counting(every_n_updates=4)
    module, _ = fit(operation)
    fit(operation, module=module)
    assert operation.times_acted == 6
    fit(operation, module=make_module())
    assert operation.times_acted == 3


def test_draws_follow_the_seed_of_the_run_and_the_operation(fit: Make, make_module: Make) -> None:
    operations = [Counting("a"), Counting("b"), Counting("a"), Counting("a")]
    fit(*operations[:2], module=make_module(seed=0))
    fit(operations[2], module=make_module(seed=0))
    fit(operations[3], module=make_module(seed=1))
    assert operations[0].seeds == operations[2].seeds
    assert not set(operations[0].seeds) & set(operations[1].seeds + operations[3].seeds)


def test_keys_in_the_checkpoint_tell_operations_on_other_layers_apart() -> None:
    operations: list[ModelOperation] = [
        *(kind(include=name) for kind in (PeriodicReset, ShrinkAndPerturb) for name in "ab"),
        *(FreezeLayers(include=name) for name in "ab"),
        *(kind(part="encoder") for kind in (PeriodicReset, ShrinkAndPerturb, FreezeLayers)),
        *(kind(part="after_encoder") for kind in (PeriodicReset, ShrinkAndPerturb, FreezeLayers)),
        *(FreezeLayers(include="a", start=start) for start in (5, 9)),
        *(ClipWeights(max_norm=1, include=name) for name in "ab"),
        ClipWeights(max_value=1, include="a"),
        PeriodicReset(include="a", start=5),
        PeriodicReset(include="a", networks=["target_network"]),
        *(WeightAverage(network=name) for name in "ab"),
        *(ReDo(start=start) for start in (0, 9)),
    ]
    assert len({operation.state_key for operation in operations}) == len(operations)


def test_two_that_could_not_be_told_apart_are_refused(fit: Make) -> None:
    with pytest.raises(RuntimeError, match="PeriodicReset"):
        fit(PeriodicReset(every_n_updates=3), PeriodicReset(every_n_updates=4))


def test_a_moving_target_adds_nothing_to_the_checkpoint(fit: Make, tmp_path: Path) -> None:
    _, trainer = fit()
    trainer.save_checkpoint(path := tmp_path / "a.ckpt")
    assert torch.load(path, weights_only=True)["callbacks"] == {}


# --- from the command line

OPTIONS = [
    ("average_network", "swa", WeightAverage),
    ("clip_weights", "norm", ClipWeights),
    ("clip_weights", "spectral", ClipWeights),
    ("clip_weights", "value", ClipWeights),
    ("freeze", "head", FreezeLayers),
    ("freeze", "torso", FreezeLayers),
    ("redo", "default", ReDo),
    ("reset", "periodic", PeriodicReset),
    ("shrink_and_perturb", "default", ShrinkAndPerturb),
]
CHOSEN = {"include", "max_value", "max_norm", "max_spectral_norm"}
"""What an option is there to set; everything else is the default of the Python signature."""


@pytest.mark.parametrize(("group", "option", "kind"), OPTIONS)
def test_options_build_their_operation_with_pythons_defaults(
    group: str, option: str, kind: type[ModelOperation]
) -> None:
    config = compose([f"+callbacks/{group}={option}"])
    assert isinstance(build(config, f"callbacks.{group}"), kind)
    values = dict(config.callbacks[group])
    assert values.pop("_target_") == f"lightning_dqn.callbacks.{kind.__name__}"
    parameters = inspect.signature(kind).parameters
    defaults = {name: parameter.default for name, parameter in parameters.items()}
    if defaults.pop("period", None) is not None:
        defaults |= {name: None for name in PeriodArguments.__annotations__} | {"start": 0}
    assert set(values) == set(defaults), "every argument is a key"
    for name, value in values.items():
        default = defaults[name]
        default = list(default) if isinstance(default, tuple) else default
        assert value == default or (name in CHOSEN and value is not None), name


@pytest.mark.parametrize(("group", "option", "kind"), OPTIONS)
def test_every_key_of_an_option_is_explained(
    group: str, option: str, kind: type[ModelOperation]
) -> None:
    path = Path(__file__).resolve().parents[2] / "conf" / "callbacks" / group / f"{option}.yaml"
    lines = path.read_text().splitlines()
    assert f"+callbacks/{group}={option}" in lines[1]
    for line in lines[2:]:
        if re.match(r"\w+:", line) and not line.startswith(("_target_", "defaults")):
            assert re.search(r"\S  # \S", line), line


def test_a_wrong_value_is_refused_by_its_key() -> None:
    config = compose(["+callbacks/clip_weights=value", "callbacks.clip_weights.max_norm=2"])
    with pytest.raises(ConfigError, match=r"callbacks\.clip_weights\.max_value=1\.0"):
        build(config, "callbacks.clip_weights")
