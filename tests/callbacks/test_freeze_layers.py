"""Layers that stop learning for a while, whatever the optimizer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from support.fixed_iterations import Diary, Do, FixedIterations, one_thread, state

from lightning_dqn import DQN
from lightning_dqn.callbacks import EMATargetNetwork, FreezeLayers
from lightning_dqn.learning import compilation

Make = Callable[..., Any]
LAYERS = [{"Linear": 8}, "ReLU", {"Linear": 6}, "ReLU"]
OPTIMIZERS = {
    "fused Adam": partial(torch.optim.Adam, lr=1e-2, weight_decay=0.1, fused=True),
    "Adam": partial(torch.optim.Adam, lr=1e-2, weight_decay=0.1, fused=False),
    "AdamW": partial(torch.optim.AdamW, lr=1e-2, weight_decay=0.1, fused=True),
    "SGD": partial(torch.optim.SGD, lr=1e-2, weight_decay=0.1, momentum=0.9),
    "RMSprop": partial(torch.optim.RMSprop, lr=1e-2, weight_decay=0.1, momentum=0.9),
}
ALL = list(range(1, 13))


@pytest.fixture
def fit(make_trainer: Make, make_module: Make) -> Iterator[Make]:
    """A function that fits 12 updates of 2 env steps an epoch."""

    def run(
        *callbacks: pl.Callback, module: DQN | None = None, ckpt: Path | None = None, **trainer: Any
    ) -> tuple[DQN, pl.Trainer]:
        module = module or make_module(network=LAYERS, optimizer=OPTIMIZERS["fused Adam"])
        assert module is not None
        made = make_trainer(callbacks=[EMATargetNetwork(tau=0.1), *callbacks], **trainer)
        made.fit(module, FixedIterations(module), [], ckpt_path=ckpt)
        return module, made

    with one_thread():
        yield run


def test_an_unknown_unit_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unit='steps': choose updates or env_steps"):
        FreezeLayers(unit="steps")  # type: ignore[arg-type]


@pytest.mark.parametrize("start", [0, 3])
def test_freezing_everything_is_refused_and_undone(
    fit: Make, make_module: Make, start: int
) -> None:
    module = make_module(network=LAYERS)
    with pytest.raises(ValueError, match="nothing is left to learn"):
        fit(FreezeLayers(start=start), module=module)
    assert all(p.requires_grad for p in module.q_network.parameters())
    assert module.after_update == []


def test_layers_that_do_not_exist_are_refused_before_the_first_update(fit: Make) -> None:
    with pytest.raises(ValueError, match="no layer is chosen by include='third'"):
        fit(FreezeLayers(include="third", start=100))


# --- what stays and what moves


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_frozen_weights_stay_bit_for_bit_and_thawed_ones_learn_again(
    fit: Make, make_module: Make, optimizer: str
) -> None:
    diary = Diary()
    module = make_module(network=LAYERS, optimizer=OPTIMIZERS[optimizer])
    fit(FreezeLayers(include="torso", start=3, until=9), diary, module=module)
    assert diary.changes("head.weight") == diary.changes("head.bias") == ALL
    for name in ("torso.0.weight", "torso.0.bias", "torso.2.weight", "torso.2.bias"):
        assert diary.changes(name) == [1, 2, 3, 10, 11, 12], name


@pytest.mark.parametrize(
    ("arguments", "learns"),
    [
        ({}, []),
        ({"until": 4}, ALL[4:]),
        ({"start": 4}, ALL[:4]),
        ({"start": 50}, ALL),
        ({"start": 5, "until": 9, "unit": "env_steps"}, [1, 2, 3, 6, 7, 8, 9, 10, 11, 12]),
        ({"until": 8, "unit": "env_steps"}, ALL[4:]),
    ],
)
def test_the_window_is_kept_to_the_update(
    fit: Make, arguments: dict[str, Any], learns: list[int]
) -> None:
    diary = Diary()
    fit(FreezeLayers(include="torso", exclude=r"\.2", **arguments), diary)
    assert diary.changes("torso.0.weight") == learns
    assert diary.changes("torso.2.weight") == ALL


def test_it_equals_a_gradient_of_zero_where_the_optimizer_has_no_memory(
    fit: Make, make_module: Make
) -> None:
    def zeroed(batch: Any) -> Any:
        step = eager(batch)
        if 3 <= twin.updates < 9:
            names = [name for name, _ in twin.q_network.named_parameters()]
            for name, gradient in zip(names, step.gradients, strict=True):
                if name.startswith("torso"):
                    gradient.zero_()
        return step

    arguments = {
        "network": LAYERS,
        "optimizer": partial(torch.optim.SGD, lr=0.1),
        "max_gradient_norm": None,
    }
    twin = make_module(**arguments)
    eager, twin.update.step = twin.update.step, zeroed
    fit(module=twin)
    frozen, _ = fit(
        FreezeLayers(include="torso", start=3, until=9), module=make_module(**arguments)
    )
    torch.testing.assert_close(state(frozen.q_network), state(twin.q_network))


def test_momentum_goes_on_where_it_was(fit: Make) -> None:
    """A frozen weight's moments neither move nor count the steps in between."""
    steps = []

    def note(module: DQN) -> None:
        optimizer: Any = module.optimizers()
        values = optimizer.optimizer.state[module.q_network.torso[0].weight]
        steps.append((int(values["step"]), values["exp_avg"].clone()))

    fit(FreezeLayers(include="torso", start=3, until=9), Do(note))
    assert [step for step, _ in steps] == [1, 2, 3, *[3] * 6, 4, 5, 6]
    assert all(torch.equal(average, steps[2][1]) for _, average in steps[2:9])


# --- several at once, and what is left behind


def test_two_windows_of_one_layer_are_kept_apart_or_joined(fit: Make) -> None:
    diary = Diary()
    fit(
        FreezeLayers(include="torso", until=5),
        FreezeLayers(include=r"torso\.0", start=3, until=7),
        FreezeLayers(include="torso", start=9, until=10),
        diary,
    )
    assert diary.changes("torso.0.weight") == [8, 9, 11, 12]
    assert diary.changes("torso.2.weight") == [6, 7, 8, 9, 11, 12]


def test_what_was_frozen_by_hand_stays_frozen(fit: Make, make_module: Make) -> None:
    module, diary = make_module(network=LAYERS), Diary()
    module.q_network.torso[0].bias.requires_grad_(False)
    fit(FreezeLayers(include="torso", start=3, until=6), diary, module=module)
    assert diary.changes("torso.0.bias") == []
    assert diary.changes("torso.0.weight") == [1, 2, 3, 7, 8, 9, 10, 11, 12]
    assert not module.q_network.torso[0].bias.requires_grad
    assert module.q_network.torso[0].weight.requires_grad


def test_a_layer_frozen_by_hand_costs_no_refreshing(
    fit: Make, make_module: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, calls = make_module(network=LAYERS), []
    module.q_network.torso[0].requires_grad_(False)
    monkeypatch.setattr(module, "refresh_trainable", lambda: calls.append(module.updates))
    fit(FreezeLayers(include=r"torso\.0", start=3, until=8), module=module)
    assert calls == [3, 8]


@pytest.mark.parametrize("fails", [False, True])
def test_everything_may_learn_again_after_the_fit(
    fit: Make, make_module: Make, fails: bool
) -> None:
    def fail(module: DQN) -> None:
        assert not module.q_network.head.bias.requires_grad
        if fails and module.updates == 7:
            raise RuntimeError("stop here")

    module = make_module(network=LAYERS)
    callbacks = (FreezeLayers(include="head"), FreezeLayers(include=r"head|torso\.2"), Do(fail))
    if fails:
        with pytest.raises(RuntimeError, match="stop here"):
            fit(*callbacks, module=module)
    else:
        fit(*callbacks, module=module)
    assert all(p.requires_grad for p in module.q_network.parameters())


@pytest.mark.parametrize(("start", "until"), [(0, 18), (8, 17), (8, None), (0, 12), (12, 20)])
def test_a_continued_run_equals_the_unbroken_one(
    fit: Make, tmp_path: Path, start: int, until: int | None
) -> None:
    def make() -> FreezeLayers:
        return FreezeLayers(include="torso", start=start, until=until)

    whole, _ = fit(make(), max_epochs=2)
    _, trainer = fit(make())
    trainer.save_checkpoint(path := tmp_path / "a.ckpt")
    diary = Diary()
    continued, _ = fit(make(), diary, max_epochs=2, ckpt=path)
    for name, tensor in state(whole).items():
        assert torch.equal(continued.state_dict()[name], tensor), name
    learns = [u for u in ALL if not start <= 12 + u - 1 < (until or 99)]
    assert diary.changes("torso.0.weight") == learns


def test_the_target_follows_frozen_weights_too(fit: Make) -> None:
    target = Diary("target_network")
    fit(FreezeLayers(include="torso", start=3), target)
    assert target.changes("torso.0.weight")[-1] == 12


def test_compiled_steps_are_compiled_anew(
    fit: Make,
    make_module: Make,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Traced as for the real compiler, whose code takes half a minute to build."""
    traced: list[Any] = []

    def trace(step: Any, **options: Any) -> Any:
        traced.append(step)
        return compile_(step, backend="aot_eager")

    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", trace)
    monkeypatch.setattr(compilation, "has_cxx_compiler", lambda: True)
    caplog.set_level(logging.WARNING)
    weights = []
    for mode in (True, False):
        diary = Diary()
        module = make_module(network=LAYERS, compile=mode)
        fit(FreezeLayers(include="torso", start=2, until=5), diary, module=module)
        assert diary.changes("torso.0.weight") == [1, 2, *ALL[5:]]
        weights.append(diary.weights[-1])
    assert len(traced) == 3, "before, inside and after the window"
    torch.testing.assert_close(weights[0], weights[1], rtol=1e-3, atol=1e-4)
    assert not [r for r in caplog.records if r.name == compilation.__name__], "all were used"
