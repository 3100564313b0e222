"""ReDo: dormant units get new incoming weights and lose their outgoing ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from support.fixed_iterations import Do, FixedIterations, moments, one_thread, state
from support.switches import switched_dqn
from torch import Tensor, nn

from lightning_dqn import DQN
from lightning_dqn.callbacks import EMATargetNetwork, FreezeLayers, ReDo
from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.networks.heads.quantile import (
    ImplicitQuantileHead,
    ProposedQuantileHead,
    QuantileHead,
)

Make = Callable[..., Any]
IMAGES = EnvironmentSpec((2, 8, 8), "float32", num_actions=3)
VECTORS = EnvironmentSpec((5,), "float32", num_actions=3)
CONV = {"Conv2d": {"out_channels": 4, "kernel_size": 3}}
MLP: list[Any] = [{"Linear": 8}, "ReLU", {"Linear": 6}, "ReLU"]

CASES: dict[str, dict[str, Any]] = {
    "mlp": {"environment": VECTORS, "network": MLP},
    "tanh and dropout": {
        "environment": VECTORS,
        "network": [{"Linear": 8}, "Tanh", {"Dropout": 0.5}, {"Linear": 6}, "Tanh", "Identity"],
    },
    "dueling": {"environment": VECTORS, "network": MLP, "dueling": True},
    "conv, flatten, linear": {
        "environment": IMAGES,
        "network": [CONV, "ReLU", "Flatten", {"Linear": 6}, "ReLU"],
    },
    "conv, pool, conv, head": {
        "environment": IMAGES,
        "network": [CONV, "ReLU", {"MaxPool2d": 2}, CONV, "ReLU"],
        "dueling": True,
    },
    "quantiles": {
        "environment": VECTORS,
        "network": MLP,
        "head": QuantileHead(num_quantiles=5),
        "dueling": True,
    },
    "implicit quantiles": {
        "environment": VECTORS,
        "network": MLP,
        # As many cosines as features: their embedding must not be taken for a reader.
        "head": ImplicitQuantileHead(num_cosines=6),
    },
    "proposed quantiles": {
        "environment": VECTORS,
        "network": MLP,
        "head": ProposedQuantileHead(num_quantiles=6, num_cosines=6),
        "dueling": True,
    },
    "noisy": {"environment": VECTORS, "network": MLP, "dueling": True, "noisy": True},
}


def make(case: str, **arguments: Any) -> DQN:
    torch.manual_seed(0)
    return switched_dqn(**{"compile": False, **CASES[case], **arguments})


def weighted_layers(module: DQN) -> list[nn.Module]:
    return [layer for layer in module.q_network.torso if isinstance(layer, nn.Linear | nn.Conv2d)]


def kill(layer: nn.Module, *units: int) -> None:
    """Make units whose output behind a ReLU or Tanh is exactly 0, whatever the input."""
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter[list(units)] = 0


def output(module: DQN, observation: Tensor) -> Tensor:
    with torch.no_grad():
        module.q_network.eval()
        q_values = module.agent.head.q_values(module.q_network(observation))
        module.q_network.train()
    return q_values


@pytest.fixture
def fit(make_trainer: Make) -> Iterator[Make]:
    """A function that fits 12 updates an epoch."""

    def run(
        module: DQN, *callbacks: pl.Callback, ckpt: Path | None = None, **trainer: Any
    ) -> pl.Trainer:
        made = make_trainer(callbacks=[*callbacks, EMATargetNetwork(tau=0.1)], **trainer)
        made.fit(module, FixedIterations(module), [], ckpt_path=ckpt)
        return made

    with one_thread():
        yield run


# --- wrong arguments and layers that don't fit


def test_a_threshold_below_0_is_refused() -> None:
    with pytest.raises(ValueError, match=r"threshold=-0\.1: at least 0"):
        ReDo(threshold=-0.1)


def test_without_a_unit_the_reasons_are_given(fit: Make) -> None:
    message = r"ReDo finds no units in the torso: torso\.0 \(Linear\): .*; torso\.1 \(PReLU\): "
    with pytest.raises(ValueError, match=message):
        fit(DQN(VECTORS, network=[{"Linear": 8}, "PReLU"], compile=False), ReDo())
    with pytest.raises(ValueError, match="no units in the torso: empty"):
        fit(DQN(VECTORS, network=[], compile=False), ReDo())


def test_a_network_of_the_users_own_is_refused(fit: Make) -> None:
    module = DQN(VECTORS, network=nn.Linear(5, 3), compile=False)
    with pytest.raises(ValueError, match="network=Linear: only a network built from a list"):
        fit(module, ReDo())


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ([CONV, "ReLU", {"Linear": 4}, "ReLU", "Flatten", {"Linear": 6}, "ReLU"], "torso.0 .*Fla"),
        (
            [CONV, "ReLU", {"Conv2d": [4, 4, 3, 1, 0, 1, 2]}, "ReLU"],
            r"torso\.0 \(Conv2d\): a convolution in groups",
        ),
    ],
)
def test_layers_that_do_not_fit_are_left_out_with_one_warning(
    fit: Make, network: list[Any], message: str
) -> None:
    module = DQN(IMAGES, network=network, compile=False)
    before = state(module.q_network.torso[0])
    redo = ReDo(threshold=1e9, every_n_updates=12)
    module.configure_optimizers = lambda: torch.optim.SGD(module.q_network.parameters(), lr=0.0)  # type: ignore[method-assign]
    with pytest.warns(UserWarning, match=f"ReDo leaves out {message}"):
        fit(module, redo)
    assert redo.times_acted == 1
    torch.testing.assert_close(state(module.q_network.torso[0]), before, rtol=0, atol=0)


# --- what becomes of the weights


@pytest.mark.parametrize("case", CASES)
def test_dead_units_are_recycled_and_nothing_else_changes(fit: Make, case: str) -> None:
    module = make(case)
    dead = {0: [1, 3], 1: [0]}
    seen: dict[str, Any] = {}

    def prepare(module: DQN) -> None:
        for index, units in dead.items():
            layer = weighted_layers(module)[index]
            nn.init.constant_(layer.bias, 3.0)  # type: ignore[arg-type]
            kill(layer, *units)
        assert module.minibatch is not None
        seen["output"] = output(module, module.minibatch.observation)
        seen["weights"], seen["moments"] = state(module.q_network), moments(module)

    def check(module: DQN) -> None:
        found = output(module, module.minibatch.observation)  # type: ignore[union-attr]
        torch.testing.assert_close(found, seen["output"])
        expected = changed_entries(module, dead)
        for name, parameter in module.q_network.named_parameters():
            renewed, zeroed = expected[name]
            assert not parameter[zeroed].any(), name
            assert (parameter[renewed & ~zeroed] != 0).all(), name
            touched = renewed | zeroed
            assert torch.equal(parameter[~touched], seen["weights"][name][~touched]), name
            after = moments(module)[name]
            for key, old in seen["moments"][name].items():
                gone = touched if old.shape == parameter.shape else torch.tensor(False)
                assert torch.equal(after[key], old.masked_fill(gone, 0)), (name, key)

    redo = ReDo(threshold=0.0, every_n_updates=6)
    fit(module, Do(prepare, every_n_updates=6), redo, Do(check, every_n_updates=6))
    assert redo.times_acted == 2
    sizes = [len(next(layer.parameters())) for layer in weighted_layers(module)]
    assert redo.dormant_fraction == pytest.approx(3 / sum(sizes))


def changed_entries(module: DQN, dead: dict[int, list[int]]) -> dict[str, tuple[Tensor, Tensor]]:
    """Say by plain loops which entries are renewed and which become 0."""
    network, layers = module.q_network, weighted_layers(module)
    readers: list[list[nn.Module]] = [[layers[1]], in_head(network.head)]
    expected = {
        name: (torch.zeros_like(p, dtype=torch.bool), torch.zeros_like(p, dtype=torch.bool))
        for name, p in network.named_parameters()
    }
    names = {id(p): name for name, p in network.named_parameters()}
    for index, units in dead.items():
        for unit in units:
            for parameter in layers[index].parameters():
                expected[names[id(parameter)]][0][unit] = True
            for parameter in (p for reader in readers[index] for p in reader.parameters()):
                if parameter.ndim == 1:
                    continue
                places = parameter.shape[1] // len(next(layers[index].parameters()))
                for place in range(unit * places, (unit + 1) * places):
                    expected[names[id(parameter)]][1][:, place] = True
    return expected


def in_head(head: nn.Module) -> list[nn.Module]:
    names = [n for n, m in head.named_modules() if isinstance(m, nn.Linear)]
    return [head.get_submodule(name) for name in names if name != "embedding"]


def test_new_weights_come_from_the_layers_initial_range(fit: Make) -> None:
    module = make("mlp", network=[{"Linear": 200}, "ReLU"])
    before = state(module.q_network)

    def grow(module: DQN) -> None:
        nn.init.constant_(module.q_network.torso[0].weight, 5.0)
        nn.init.constant_(module.q_network.torso[0].bias, -1e4)

    redo = ReDo(every_n_updates=12)
    fit(module, Do(grow, every_n_updates=12), redo)
    assert redo.dormant_fraction == 1.0
    weight = module.q_network.torso[0].weight
    assert weight.abs().max() <= 5**-0.5
    assert weight.std().item() == pytest.approx((5 * 3) ** -0.5, rel=0.1)
    assert not torch.equal(weight, before["torso.0.weight"])
    assert not module.q_network.head.weight.any()


@pytest.mark.filterwarnings("ignore:the target network begins with other weights:UserWarning")
def test_the_threshold_is_met_by_the_units_below_it_alone(fit: Make) -> None:
    """Units that pass a positive input on, sized 1, 0.5, 0.02 and 0: scores by hand."""
    module = make("mlp", network=[{"Linear": 4}, "ReLU"])
    sizes = torch.tensor([1.0, 0.5, 0.02, 0.0])  # mean 0.38: scores 2.6, 1.3, 0.053, 0

    def prepare(module: DQN) -> None:
        nn.init.zeros_(module.q_network.torso[0].weight)
        module.q_network.torso[0].bias.data.copy_(sizes)

    for threshold, expected in ((0.0, 1), (0.052, 1), (0.053, 2), (1.2, 2), (1.4, 3)):
        redo = ReDo(threshold=threshold, every_n_updates=12)
        module.updates = module.env_steps = 0
        fit(module, Do(prepare, every_n_updates=12), redo)
        assert redo.dormant_fraction == expected / 4, threshold
        assert int((module.q_network.torso[0].bias == sizes).sum()) == 4 - expected


def test_normalisation_of_a_recycled_unit_starts_anew_too(fit: Make) -> None:
    layers = [{"Linear": 4}, {"LayerNorm": 4}, "ReLU", {"Linear": 3}, {"BatchNorm1d": 3}, "ReLU"]
    module = make("mlp", network=layers)

    def prepare(module: DQN) -> None:
        for index in (1, 4):
            nn.init.constant_(module.q_network.torso[index].weight, 2.0)
            nn.init.constant_(module.q_network.torso[index].bias, 9.0)
            module.q_network.torso[index].bias.data[1] = -99.0
        module.q_network.torso[4].running_var.fill_(7.0)

    fit(module, Do(prepare, every_n_updates=12), ReDo(threshold=0.0, every_n_updates=12))
    torso = module.q_network.torso
    assert torso[1].weight.tolist() == [2, 1, 2, 2]
    assert torso[1].bias.tolist() == [9, 0, 9, 9]
    assert torso[4].weight.tolist() == [2, 1, 2]
    assert torso[4].running_var.tolist() == [7, 1, 7]


def test_nothing_dormant_changes_nothing(fit: Make) -> None:
    with_redo, without = make("tanh and dropout"), make("tanh and dropout")
    for module, callbacks in ((with_redo, [ReDo(threshold=0.0, every_n_updates=1)]), (without, [])):
        torch.manual_seed(5)
        fit(module, *callbacks)
    torch.testing.assert_close(state(with_redo), state(without), rtol=0, atol=0)


# --- over a run


def test_the_fraction_is_unknown_before_the_first_look(fit: Make) -> None:
    redo = ReDo(every_n_updates=13)
    fit(make("mlp"), redo)
    assert math.isnan(redo.dormant_fraction)


def test_a_continued_run_equals_the_unbroken_one(fit: Make, tmp_path: Path) -> None:
    redos = [ReDo(threshold=0.7, every_n_updates=5) for _ in range(3)]
    whole, first, continued = (make("mlp") for _ in range(3))
    fit(whole, redos[0], max_epochs=2)
    fit(first, redos[1]).save_checkpoint(path := tmp_path / "a.ckpt")
    torch.manual_seed(99)
    fit(continued, redos[2], max_epochs=2, ckpt=path)
    assert 0 < redos[0].dormant_fraction == redos[2].dormant_fraction
    assert redos[2].times_acted == 4
    for name, tensor in state(whole).items():
        assert torch.equal(continued.state_dict()[name], tensor), name


def test_it_works_beside_frozen_layers(fit: Make) -> None:
    redo = ReDo(threshold=0.7, every_n_updates=4)
    fit(make("mlp"), FreezeLayers(include="head", until=9), redo)
    assert redo.times_acted == 3
