"""Weights that are kept within a bound after every update."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from support.fixed_iterations import Diary, FixedIterations, one_thread, state
from torch import Tensor

from lightning_dqn import DQN
from lightning_dqn.callbacks import ClipWeights, EMATargetNetwork

Make = Callable[..., Any]
LAYERS = [{"Linear": 16}, "ReLU", {"Linear": 12}, "ReLU"]


@pytest.fixture
def fit(make_trainer: Make, make_module: Make) -> Iterator[Make]:
    """A function that fits 12 updates an epoch, with steps that leave every bound quickly."""

    def run(
        *callbacks: pl.Callback, module: DQN | None = None, ckpt: Path | None = None, **trainer: Any
    ) -> tuple[DQN, pl.Trainer]:
        adam = partial(torch.optim.Adam, lr=0.05)
        module = module or make_module(network=LAYERS, optimizer=adam)
        assert module is not None
        made = make_trainer(callbacks=[*callbacks, EMATargetNetwork(tau=0.1)], **trainer)
        made.fit(module, FixedIterations(module), [], ckpt_path=ckpt)
        return module, made

    with one_thread():
        yield run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "max_value=None, max_norm=None, max_spectral_norm=None: give exactly one"),
        ({"max_value": 1, "max_norm": 1}, "give exactly one of the three"),
        ({"max_norm": 1, "max_spectral_norm": 1}, "give exactly one of the three"),
        ({"max_value": 0}, "max_value=0: must be above 0"),
        ({"max_spectral_norm": -1.0}, r"max_spectral_norm=-1\.0: must be above 0"),
        ({"max_norm": float("nan")}, "max_norm=nan: expected a finite number"),
        ({"max_norm": 1, "every_n_updates": 0}, "every_n_updates=0: at least 1"),
        ({"max_norm": 1, "power_iterations": 0}, "power_iterations=0: at least 1"),
    ],
)
def test_wrong_arguments_are_refused_by_name(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ClipWeights(**arguments)


def test_a_choice_without_weights_or_matrices_is_refused(fit: Make) -> None:
    with pytest.raises(ValueError, match="no tensor is chosen by include='third'"):
        fit(ClipWeights(max_norm=1, include="third"))
    with pytest.raises(ValueError, match="include='bias', exclude=None: there is no matrix"):
        fit(ClipWeights(max_spectral_norm=1, include="bias"))


MEASURES: dict[str, tuple[float, Callable[[Tensor], Tensor]]] = {
    "max_value": (0.05, lambda weight: weight.abs().max()),
    "max_norm": (0.5, torch.linalg.vector_norm),
    "max_spectral_norm": (0.5, lambda weight: torch.linalg.matrix_norm(weight, ord=2)),
}


@pytest.mark.parametrize("bound", MEASURES)
def test_chosen_weights_stay_within_the_bound_and_others_leave_it(fit: Make, bound: str) -> None:
    limit, measure = MEASURES[bound]
    diary = Diary()
    fit(ClipWeights(**{bound: limit}, include="torso", exclude="bias"), diary)  # type: ignore[arg-type]
    sizes = {name: [float(measure(w[name])) for w in diary.weights[1:]] for name in WEIGHTS}
    # Power iteration follows matrices that move as fast as these with some lag.
    allowed = limit * (1.15 if bound == "max_spectral_norm" else 1 + 1e-6)
    for name in WEIGHTS[:2]:
        assert all(0.8 * limit < size <= allowed for size in sizes[name]), name
    assert max(sizes["head.weight"]) > 1.2 * limit


WEIGHTS = ["torso.0.weight", "torso.2.weight", "head.weight"]


def test_singular_values_are_met_closely_at_a_usual_learning_rate(
    fit: Make, make_module: Make
) -> None:
    diary = Diary()
    callback = ClipWeights(max_spectral_norm=0.5, every_n_updates=2, power_iterations=5)
    fit(callback, diary, module=make_module(network=LAYERS))
    for weights in diary.weights[2::2]:
        for name in WEIGHTS:
            assert 0.47 < torch.linalg.matrix_norm(weights[name], ord=2) <= 0.505, name


def test_the_target_gets_the_clipped_weights(fit: Make) -> None:
    target = Diary("target_network")
    fit(ClipWeights(max_value=0.01), EMATargetNetwork(tau=1), target)
    assert all(w["torso.0.weight"].abs().max() <= 0.01 for w in target.weights[1:])


def test_two_act_at_once_and_at_their_own_periods(fit: Make, make_module: Make) -> None:
    diary = Diary()
    fit(
        ClipWeights(max_value=0.01, include="torso.0", every_n_updates=4),
        ClipWeights(max_norm=0.01, include="head.weight", every_n_env_steps=12),
        diary,
    )
    small = [i for i, w in enumerate(diary.weights) if w["torso.0.weight"].abs().max() <= 0.01]
    assert small == [4, 8, 12]
    small = [i for i, w in enumerate(diary.weights) if w["head.weight"].norm() <= 0.01001]
    assert small == [6, 12]


def test_a_continued_run_has_the_vectors_and_weights_of_the_unbroken_one(
    fit: Make, tmp_path: Path
) -> None:
    make = partial(ClipWeights, max_spectral_norm=0.5)
    callbacks = [make(), make(), make()]
    whole, _ = fit(callbacks[0], max_epochs=2)
    _, trainer = fit(callbacks[1])
    trainer.save_checkpoint(path := tmp_path / "a.ckpt")
    assert torch.load(path, weights_only=True)["callbacks"]
    continued, _ = fit(callbacks[2], max_epochs=2, ckpt=path)
    for name, tensor in state(whole).items():
        assert torch.equal(continued.state_dict()[name], tensor), name
    found, expected = (c.state_dict()["vectors"] for c in (callbacks[2], callbacks[0]))
    assert len(found) == 3
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_the_vectors_begin_anew_with_a_new_module(fit: Make, make_module: Make) -> None:
    callback, fresh = (ClipWeights(max_spectral_norm=0.5) for _ in range(2))
    fit(callback, module=make_module(network=[{"Linear": 5}, "ReLU"]))
    fit(callback, module=make_module(network=LAYERS))
    fit(fresh, module=make_module(network=LAYERS))
    found, expected = (c.state_dict()["vectors"] for c in (callback, fresh))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("bound", MEASURES)
def test_normalisations_are_left_alone_unless_they_are_chosen(
    bound: str, fit: Make, make_module: Make
) -> None:
    """A gain lies around 1 and multiplies number by number, be it shaped like a matrix."""
    layers = [{"Linear": 16}, {"Unflatten": [1, [1, 4, 4]]}, {"LayerNorm": [[1, 4, 4]]}, "Flatten"]
    gain = "torso.2.weight"

    def largest(**chosen: Any) -> tuple[float, float]:
        module, _ = fit(
            ClipWeights(**{bound: 0.05}, **chosen),  # type: ignore[arg-type]
            module=make_module(network=layers),
        )
        weights = {name: p.detach() for name, p in module.q_network.named_parameters()}
        assert weights[gain].shape == (1, 4, 4)
        return float(weights[gain].max()), float(weights["torso.0.weight"].abs().max())

    of_gain, of_weight = largest()
    assert of_gain > 0.9
    assert of_weight <= 0.05 * (1 + 1e-6)
    if bound != "max_spectral_norm":
        assert largest(include="torso")[0] <= 0.05 * (1 + 1e-6)
