"""ShrinkAndPerturb: layers moved toward new initial weights; what a reset shares with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from support.fixed_iterations import Diary, Do, moments, one_thread, state
from support.operation_fits import fit_operations

from lightning_dqn import DQN
from lightning_dqn.callbacks import PeriodicReset, ShrinkAndPerturb
from lightning_dqn.networks import operations

Make = Callable[..., Any]


@pytest.fixture
def fit(make_trainer: Make, make_module: Make) -> Iterator[Make]:
    """A function that fits 12 updates an epoch and returns module and trainer."""
    with one_thread():
        yield partial(fit_operations, make_trainer, make_module)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shrink": 1.5}, r"shrink=1\.5: must lie between 0 and 1"),
        ({"shrink": float("nan")}, "shrink=nan: expected a finite number"),
        ({"networks": []}, r"networks=\[\]: expected a list"),
        ({"part": "head"}, "part='head': choose encoder or after_encoder"),
        ({"networks": "q_network"}, "networks='q_network': expected a list"),
    ],
)
def test_wrong_arguments_are_refused_by_name(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ShrinkAndPerturb(**arguments)


# --- what becomes of the weights


def test_shrinking_is_the_papers_equation_layer_by_layer(fit: Make) -> None:
    operation, diary = ShrinkAndPerturb(shrink=0.75, include="torso", every_n_updates=5), Diary()
    drawn: list[dict[str, torch.Tensor]] = []

    def draw(module: DQN) -> None:
        layers = [module.q_network.torso[0], module.q_network.torso[2]]
        fresh = operations.redrawn(layers, seed=operation.seed_of_act())
        drawn.append({})
        for index, layer in zip((0, 2), fresh, strict=True):
            drawn[-1] |= {f"torso.{index}.{name}": p for name, p in layer.named_parameters()}

    before = Diary()
    fit(before, Do(draw, every_n_updates=5), operation, diary)
    assert operation.times_acted == len(drawn) == 2
    for update, fresh in zip((5, 10), drawn, strict=True):
        old, new = before.weights[update], diary.weights[update]
        assert set(fresh) == {name for name in old if "torso" in name}
        for name in old:
            expected = 0.75 * old[name] + 0.25 * fresh[name] if name in fresh else old[name]
            torch.testing.assert_close(new[name], expected)
    assert not torch.equal(drawn[0]["torso.0.weight"], drawn[1]["torso.0.weight"])
    for update in (1, 4, 6, 9, 11, 12):
        assert torch.equal(before.weights[update]["head.bias"], diary.weights[update]["head.bias"])


@pytest.mark.parametrize("kind", [PeriodicReset, ShrinkAndPerturb])
def test_the_moments_of_just_these_layers_are_forgotten(fit: Make, kind: Any) -> None:
    seen: list[dict[str, dict[str, torch.Tensor]]] = []
    notes = [Do(lambda module: seen.append(moments(module)), every_n_updates=6) for _ in range(2)]
    fit(notes[0], kind(include="head", every_n_updates=6), notes[1])
    for before, after in zip(seen[::2], seen[1::2], strict=True):
        for name in before:
            assert before[name]["exp_avg"].any()
            for key, value in after[name].items():
                gone = name.startswith("head")
                assert torch.equal(value, torch.zeros_like(value) if gone else before[name][key])
    assert seen[2]["torso.0.weight"]["step"] == 12
    assert seen[2]["head.weight"]["step"] == 6, "counted anew since the reset"


@pytest.mark.parametrize(
    ("kind", "starts_anew"), [(PeriodicReset, True), (ShrinkAndPerturb, False)]
)
def test_statistics_start_anew_with_a_reset_and_stay_when_shrunk(
    fit: Make, make_module: Make, kind: Any, starts_anew: bool
) -> None:
    module = make_module(network=[{"Linear": 8}, {"BatchNorm1d": 8}, "ReLU"])
    fit(kind(every_n_updates=12), module=module)
    assert (module.q_network.torso[1].num_batches_tracked == 0) == starts_anew
    assert module.q_network.torso[1].running_var.eq(1).all() == starts_anew


# --- over a run


@pytest.mark.parametrize(
    "make",
    [
        lambda: PeriodicReset(every_n_updates=5, max_resets=3),
        lambda: ShrinkAndPerturb(include="torso", every_n_env_steps=9, start=9),
    ],
)
def test_a_continued_run_ends_at_the_same_weights_as_the_unbroken_one(
    fit: Make, tmp_path: Path, make: Callable[[], ShrinkAndPerturb]
) -> None:
    whole, _ = fit(make(), max_epochs=3)
    _, trainer = fit(make())
    trainer.save_checkpoint(path := tmp_path / "a.ckpt")
    torch.manual_seed(99)
    second = make()
    continued, _ = fit(second, max_epochs=3, ckpt=path)
    assert continued.updates == whole.updates == 36
    assert second.times_acted == (3 if isinstance(second, PeriodicReset) else 8)
    for name, tensor in state(whole).items():
        assert torch.equal(continued.state_dict()[name], tensor), name
