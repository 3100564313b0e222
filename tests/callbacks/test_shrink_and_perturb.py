"""ShrinkAndPerturb and PeriodicReset: layers moved to new initial weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from support.fixed_iterations import (
    Diary,
    Do,
    FixedIterations,
    moments,
    one_thread,
    state,
    still,
    vector,
)
from torch import nn

from lightning_dqn import DQN
from lightning_dqn.callbacks import EMATargetNetwork, PeriodicReset, ShrinkAndPerturb
from lightning_dqn.networks import operations

Make = Callable[..., Any]
LAYERS = [{"Linear": 8}, "ReLU", {"Linear": 6}, "ReLU"]


@pytest.fixture
def fit(make_trainer: Make, make_module: Make) -> Iterator[Make]:
    """A function that fits 12 updates an epoch and returns module and trainer."""

    def run(
        *callbacks: pl.Callback, module: DQN | None = None, ckpt: Path | None = None, **trainer: Any
    ) -> tuple[DQN, pl.Trainer]:
        module = module or make_module(network=LAYERS)
        assert module is not None
        if not any(isinstance(c, EMATargetNetwork) for c in callbacks):
            callbacks = (*callbacks, EMATargetNetwork(tau=0.1))
        made = make_trainer(callbacks=list(callbacks), **trainer)
        made.fit(module, FixedIterations(module), [], ckpt_path=ckpt)
        return module, made

    with one_thread():
        yield run


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (ShrinkAndPerturb, {"shrink": 1.5}, r"shrink=1\.5: must lie between 0 and 1"),
        (ShrinkAndPerturb, {"shrink": float("nan")}, "shrink=nan: must lie between 0 and 1"),
        (ShrinkAndPerturb, {"networks": []}, r"networks=\[\]: expected a list"),
        (PeriodicReset, {"networks": "q_network"}, "networks='q_network': expected a list"),
        (PeriodicReset, {"max_resets": -1}, "max_resets=-1: at least 0"),
    ],
)
def test_wrong_arguments_are_refused_by_name(kind: Any, arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**arguments)


def test_what_fits_no_layer_or_network_is_refused_before_the_first_update(fit: Make) -> None:
    with pytest.raises(ValueError, match="no layer is chosen by include='third'"):
        fit(PeriodicReset(include="third"))
    with pytest.raises(ValueError, match=r"\['average'\]: choose among \['q_network', 'target_ne"):
        fit(PeriodicReset(networks=["average"]))


def test_a_layer_that_can_not_be_drawn_anew_is_named(fit: Make, make_module: Make) -> None:
    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.scale = nn.Linear(4, 2), nn.Parameter(torch.ones(2))

        def forward(self, observation: Any) -> Any:
            return self.scale * self.linear(observation)

    module = make_module(network=Scale())
    with pytest.raises(ValueError, match="Scale has weights but no reset_parameters"):
        fit(PeriodicReset(), module=module)
    fit(PeriodicReset(include="^linear$", every_n_updates=4), module=module)


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


def test_a_reset_leaves_nothing_and_draws_from_the_layers_initial_range(fit: Make) -> None:
    def grow(module: DQN) -> None:
        for parameter in module.q_network.parameters():
            nn.init.constant_(parameter, 9.0)

    def check(module: DQN) -> None:
        for name, parameter in module.q_network.named_parameters():
            if not name.startswith("torso.2"):
                assert (parameter == 9).all(), name
                continue
            assert parameter.abs().max() <= 8**-0.5, "Linear draws from +-1/sqrt(inputs)"
            assert parameter.unique().numel() == parameter.numel()

    fit(Do(grow), PeriodicReset(include=r"^torso\.2$", every_n_updates=1), Do(check))


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


def test_a_copy_among_the_networks_gets_the_same_new_weights(fit: Make, make_module: Make) -> None:
    module = make_module(network=LAYERS, optimizer=still)
    nn.init.ones_(module.target_network.head.weight)
    nn.init.ones_(module.target_network.torso[0].weight)
    both = ["q_network", "target_network"]
    target = EMATargetNetwork(tau=0.1, every_n_updates=99)
    fit(PeriodicReset(include="head", networks=both, every_n_updates=4), target, module=module)
    assert torch.equal(module.target_network.head.weight, module.q_network.head.weight)
    assert (module.target_network.torso[0].weight == 1).all()


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


def test_the_runs_other_draws_are_not_disturbed(fit: Make, make_module: Make) -> None:
    after = []
    for callbacks in ([], [PeriodicReset(every_n_updates=2)]):
        fit(*callbacks, module=make_module(network=LAYERS))
        after.append(torch.rand(3))
    assert torch.equal(*after)


# --- how often, how many, in which order


def test_resets_end_when_there_were_enough_of_them(fit: Make, make_module: Make) -> None:
    diary = Diary()
    reset = PeriodicReset(every_n_updates=2, start=3, max_resets=2)
    fit(reset, diary, module=make_module(network=LAYERS, optimizer=still))
    assert diary.changes("head.weight") == [4, 6]
    assert reset.times_acted == 2


def test_two_act_at_once_on_different_layers(fit: Make, make_module: Make) -> None:
    diary = Diary()
    fit(
        PeriodicReset(include="head", every_n_updates=3),
        PeriodicReset(include="torso", every_n_env_steps=8),
        diary,
        module=make_module(network=LAYERS, optimizer=still),
    )
    assert diary.changes("head.weight") == [3, 6, 9, 12]
    assert diary.changes("torso.0.weight") == [4, 8, 12]


@pytest.mark.parametrize("reset_first", [True, False])
def test_a_target_that_copies_sees_a_reset_before_it_only(fit: Make, reset_first: bool) -> None:
    reset, target = PeriodicReset(every_n_updates=12), EMATargetNetwork(tau=1)
    module, _ = fit(*([reset, target] if reset_first else [target, reset]))
    assert torch.equal(vector(module.q_network), vector(module.target_network)) == reset_first


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
