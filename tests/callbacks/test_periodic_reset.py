"""PeriodicReset: layers with new initial weights, now and then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from support.fixed_iterations import Diary, Do, one_thread, still, vector
from support.operation_fits import LAYERS, fit_operations
from torch import nn

from lightning_dqn import DQN
from lightning_dqn.callbacks import EMATargetNetwork, PeriodicReset, ShrinkAndPerturb

Make = Callable[..., Any]


@pytest.fixture
def fit(make_trainer: Make, make_module: Make) -> Iterator[Make]:
    """A function that fits 12 updates an epoch and returns module and trainer."""
    with one_thread():
        yield partial(fit_operations, make_trainer, make_module)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"networks": "q_network"}, "networks='q_network': expected a list"),
        ({"max_resets": -1}, "max_resets=-1: at least 0"),
    ],
)
def test_wrong_arguments_are_refused_by_name(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PeriodicReset(**arguments)


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


@pytest.mark.filterwarnings("ignore:the target network begins with other weights:UserWarning")
def test_a_copy_among_the_networks_gets_the_same_new_weights(fit: Make, make_module: Make) -> None:
    module = make_module(network=LAYERS, optimizer=still)
    nn.init.ones_(module.target_network.head.weight)
    nn.init.ones_(module.target_network.torso[0].weight)
    both = ["q_network", "target_network"]
    target = EMATargetNetwork(tau=0.1, every_n_updates=99)
    fit(PeriodicReset(include="head", networks=both, every_n_updates=4), target, module=module)
    assert torch.equal(module.target_network.head.weight, module.q_network.head.weight)
    assert (module.target_network.torso[0].weight == 1).all()


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


def test_a_limit_of_no_resets_resets_nothing(fit: Make, make_module: Make) -> None:
    diary, reset = Diary(), PeriodicReset(every_n_updates=2, max_resets=0)
    fit(reset, diary, module=make_module(network=LAYERS, optimizer=still))
    assert diary.changes("head.weight") == []
    assert reset.times_acted == 0


def test_the_limit_counts_the_resets_before_the_run_was_continued(
    fit: Make, make_module: Make, tmp_path: Path
) -> None:
    def small() -> DQN:
        return make_module(network=LAYERS, optimizer=still)

    _, trainer = fit(PeriodicReset(every_n_updates=5, max_resets=3), module=small())
    trainer.save_checkpoint(path := tmp_path / "a.ckpt")
    diary, reset = Diary(), PeriodicReset(every_n_updates=5, max_resets=3)
    fit(reset, diary, module=small(), max_epochs=3, ckpt=path)
    # Updates 5 and 10 were reset in the first epoch, only 15 is left of 15, 20, 25, 30 and 35.
    assert diary.changes("head.weight") == [15 - 12]
    assert reset.times_acted == 3


def test_unless_told_otherwise_all_layers_of_the_online_network_are_reset() -> None:
    reset = PeriodicReset()
    assert (reset.period.length, reset.period.counts_env_steps) == (20_000, False)
    assert (reset.shrink, reset.networks, reset.max_resets) == (0.0, ("q_network",), None)
    assert isinstance(reset, ShrinkAndPerturb)
