"""Updates in graphs: the same as one by one, whatever acts between them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, RMSprop

from lightning_dqn import DQN
from lightning_dqn.callbacks import EMATargetNetwork, PeriodicReset
from lightning_dqn.learning import blocks as blocks_module
from lightning_dqn.learning import compilation
from lightning_dqn.learning import update as update_module
from lightning_dqn.learning.blocks import Blocks, Counts, one_by_one, size_of_graphs
from lightning_dqn.learning.compilation import (
    GRAPHS_PAY_BACK_AFTER_UPDATES,
    MOST_UPDATES_IN_A_GRAPH,
    MOST_WEIGHTS_OF_GRAPHS,
    has_cxx_compiler,
    updates_in_a_graph,
)
from lightning_dqn.learning.optimizer_layout import OptimizerLayout
from lightning_dqn.learning.targets import Munchausen
from lightning_dqn.networks.heads.categorical import CategoricalHead
from lightning_dqn.networks.heads.quantile import ImplicitQuantileHead, QuantileHead
from lightning_dqn.networks.heads.scalar import ScalarHead
from lightning_dqn.replay.samplers.prioritized import PrioritizedSampling
from lightning_dqn.schedules import LinearSchedule
from lightning_dqn.system.faults import NonFiniteError

# The compiler of torch 2.9 to 2.13 uses parts of torch that torch itself deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")

Make = Callable[..., Any]
UPDATES = 4
"""Of an iteration of ``make_data``."""
CLOSE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Graphs that aren't compiled, and the number of updates of each that was run."""
    sizes: list[int] = []

    def noted(self: Any, batches: Any, *others: Any) -> Any:
        sizes.append(len(batches))
        return run(self, batches, *others)

    run = Blocks.__call__
    monkeypatch.setattr(Blocks, "__call__", noted)
    monkeypatch.setattr(torch, "compile", lambda step, **options: step)
    monkeypatch.setattr(blocks_module.Graph, "compiled", lambda graph, options: graph)
    monkeypatch.setattr(compilation, "has_cxx_compiler", lambda: True)
    return sizes


def set_most(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """Let graphs be of up to so many updates, however short the run."""
    monkeypatch.setattr(update_module, "updates_in_a_graph", lambda *_, **__: most)


class Notes(pl.Callback):
    """Notes what callbacks see after each iteration."""

    def __init__(self) -> None:
        self.counts: list[tuple[int, int, int]] = []
        self.priorities: list[Tensor] = []
        self.losses: list[Tensor] = []
        self.gradients: list[Tensor] = []

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.counts.append((pl_module.updates, pl_module.env_steps, trainer.global_step))
        self.priorities.append(outputs["priority"])
        self.losses.append(outputs["loss"])
        self.gradients += [p.grad.clone() for p in pl_module.q_network.parameters()]
        newest = batch.transitions.minibatches()[-1]
        assert torch.equal(pl_module.minibatch.observation, newest.observation)


class Run:
    """A fit and what came of it."""

    def __init__(self, make_trainer: Make, make_data: Make, make_module: Make) -> None:
        self.parts = make_trainer, make_data, make_module

    def __call__(
        self,
        *,
        compile: bool,
        callbacks: Callable[[], list[pl.Callback]] = lambda: [EMATargetNetwork(tau=0.1)],
        data: dict[str, Any] | None = None,
        seed: int = 3,
        **arguments: Any,
    ) -> tuple[Any, Notes]:
        make_trainer, make_data, make_module = self.parts
        notes = Notes()
        module = make_module(compile=compile, **arguments)
        torch.manual_seed(seed)
        trainer = make_trainer(callbacks=[*callbacks(), notes])
        trainer.fit(module, make_data(**{"seed": 5, **(data or {})}))
        return module, notes


@pytest.fixture
def run(make_trainer: Make, make_data: Make, make_module: Make) -> Run:
    return Run(make_trainer, make_data, make_module)


def assert_same(one: tuple[Any, Notes], other: tuple[Any, Notes]) -> None:
    """Hold two runs against each other, within rounding."""
    (found, seen), (expected, meant) = one, other
    torch.testing.assert_close(found.state_dict(), expected.state_dict(), **CLOSE)
    assert seen.counts == meant.counts
    for name in ("priorities", "losses", "gradients"):
        torch.testing.assert_close(getattr(seen, name), getattr(meant, name), **CLOSE)
    states = [m.trainer.optimizers[0].state_dict()["state"] for m in (found, expected)]
    torch.testing.assert_close(*states, **CLOSE)


IMPLICIT = ImplicitQuantileHead(6, num_evaluation_quantiles=5, num_cosines=8)
CASES: dict[str, dict[str, Any]] = {
    "double": {},
    "mse, never clipped": {
        "head": ScalarHead(error="mse"),
        "double": False,
        "max_gradient_norm": None,
    },
    "clipped": {"max_gradient_norm": 0.05},
    "c51, noisy, dueling": {
        "head": CategoricalHead(9, -5.0, 5.0),
        "noisy": True,
        "dueling": True,
    },
    "qr": {"head": QuantileHead(5)},
    "iqn, munchausen": {"head": IMPLICIT, "munchausen": Munchausen()},
    "layer norm": {"layer_norm": True},
    "priorities": {"data": {"sampler": PrioritizedSampling()}},
    "several steps": {"data": {"updates_per_iteration": 8, "env_steps_per_iteration": 12}},
    "hard target": {"callbacks": lambda: [EMATargetNetwork(tau=1.0, every_n_updates=6)]},
    "hard target by env steps": {
        "callbacks": lambda: [EMATargetNetwork(tau=1.0, every_n_env_steps=5)]
    },
    "two averages": {
        "callbacks": lambda: [
            EMATargetNetwork(tau=0.1),
            EMATargetNetwork(decay=0.5, network="average", start=3, until=9),
        ]
    },
    "a scheduled average": {
        "callbacks": lambda: [EMATargetNetwork(tau=LinearSchedule(1.0, 0.01, 8))]
    },
    "a reset before the average": {
        "callbacks": lambda: [
            PeriodicReset(include="head", every_n_updates=4),
            EMATargetNetwork(tau=0.1),
        ]
    },
    "a reset after the average": {
        "callbacks": lambda: [
            EMATargetNetwork(tau=0.1),
            PeriodicReset(include="head", every_n_updates=8),
        ]
    },
    "adamw": {"optimizer": partial(AdamW, lr=1e-2, weight_decay=0.1, amsgrad=True)},
    "sgd": {"optimizer": partial(SGD, lr=1e-2, momentum=0.9)},
    "rmsprop": {"optimizer": partial(RMSprop, lr=1e-3, centered=True)},
    "a schedule of rates": {
        "optimizer": partial(Adam, lr=1e-2, fused=True),
        "lr_scheduler": partial(torch.optim.lr_scheduler.LinearLR, total_iters=3),
    },
}


@pytest.mark.parametrize("most", [1, 4])
@pytest.mark.parametrize("case", CASES)
def test_updates_in_graphs_are_those_one_by_one(
    run: Run, graphs: list[int], monkeypatch: pytest.MonkeyPatch, case: str, most: int
) -> None:
    set_most(monkeypatch, most)
    found = run(compile=True, **CASES[case])
    assert sum(graphs) == found[0].updates > 0, "all updates were made by graphs"
    assert_same(found, run(compile=False, **CASES[case]))


def test_nothing_between_them_makes_graphs_long(
    run: Run, graphs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_most(monkeypatch, 4)
    run(compile=True)
    assert graphs == [4, 4, 4]


def test_what_acts_between_them_makes_graphs_short(
    run: Run, graphs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_most(monkeypatch, 4)
    run(compile=True, callbacks=CASES["hard target"]["callbacks"])  # after updates 6 and 12
    assert graphs == [2] * 6
    graphs.clear()
    # 8 env steps of 4 updates: the fifth falls between the second and the third update
    run(compile=True, callbacks=CASES["hard target by env steps"]["callbacks"])
    assert graphs != [4, 4, 4]
    assert sum(graphs) == 12


@pytest.mark.parametrize(("most", "sizes"), [(1, [1] * 12), (4, [])])
def test_a_function_after_each_update_is_called_after_each(
    run: Run, graphs: list[int], monkeypatch: pytest.MonkeyPatch, most: int, sizes: list[int]
) -> None:
    """By graphs of one update; where several were allowed, by none: one alone saves little."""
    set_most(monkeypatch, most)
    seen: list[tuple[int, int]] = []

    class Looks(pl.Callback):
        def on_fit_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
            pl_module.after_update.append(lambda m: seen.append((m.updates, m.env_steps)))

    callbacks: Any = lambda: [Looks(), EMATargetNetwork(tau=0.1)]  # noqa: E731
    found = run(compile=True, callbacks=callbacks)
    assert graphs == sizes
    assert seen == [(u, 16 + 2 * u) for u in range(1, 13)]
    assert_same(found, run(compile=False, callbacks=callbacks))


class OwnTarget(EMATargetNetwork):
    """Looks at every update."""

    def __call__(self, module: DQN) -> None:
        super().__call__(module)
        self.calls = [*getattr(self, "calls", []), module.updates]


@pytest.mark.parametrize("most", [1, 4])
def test_a_target_that_looks_at_every_update_is_called_after_each(
    run: Run, graphs: list[int], monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    set_most(monkeypatch, most)
    target = OwnTarget(tau=0.1)
    found = run(compile=True, callbacks=lambda: [target])
    assert target.calls == list(range(1, 13))
    assert_same(found, run(compile=False))


class LooksAtGradients(pl.Callback):
    """Stands before each step of the optimizer."""

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        assert all(p.grad is not None for p in pl_module.q_network.parameters())
        self.calls = getattr(self, "calls", 0) + 1


def test_who_looks_before_a_step_has_the_optimizer_step_by_itself(
    run: Run, graphs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_most(monkeypatch, 4)
    looks = LooksAtGradients()
    run(compile=True, callbacks=lambda: [looks, EMATargetNetwork(tau=0.1)])
    assert looks.calls == 12
    assert graphs == []


class OwnAdam(Adam):
    """Might do anything in its step."""


def test_an_optimizer_of_a_users_own_steps_by_itself(
    run: Run, graphs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_most(monkeypatch, 4)
    found = run(compile=True, optimizer=partial(OwnAdam, lr=1e-2))
    assert graphs == []
    assert_same(found, run(compile=False, optimizer=partial(Adam, lr=1e-2)))


def test_options_that_change_on_the_way_end_the_graphs(
    run: Run, graphs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_most(monkeypatch, 4)
    arguments = {
        "optimizer": partial(Adam, lr=1e-3),
        "lr_scheduler": partial(torch.optim.lr_scheduler.OneCycleLR, max_lr=1e-2, total_steps=4),
    }
    found = run(compile=True, **arguments)
    assert graphs == [UPDATES], "the first iteration's: its schedule cycles the betas too"
    assert_same(found, run(compile=False, **arguments))


def test_without_compiling_there_are_no_graphs(
    run: Run, graphs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_most(monkeypatch, 4)
    run(compile=False)
    assert graphs == []


def test_a_short_run_has_no_graphs(run: Run, graphs: list[int]) -> None:
    run(compile=True)
    assert graphs == []


# --- what isn't finite


class Poison(pl.Callback):
    """Makes one update of an iteration not finite."""

    def __init__(self) -> None:
        self.modules: list[Any] = []

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx == 1:
            self.modules.append(pl_module)
            batch.transitions.reward[1] = torch.nan


def test_an_update_that_is_not_finite_is_named_and_never_reaches_the_weights(
    run: Run, graphs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_most(monkeypatch, 4)
    poison = Poison()
    for compile in (True, False):
        with pytest.raises(NonFiniteError, match=r"update 6 .* it began in the loss"):
            run(compile=compile, callbacks=lambda: [EMATargetNetwork(tau=0.1), poison])
    assert graphs == [4, 4]
    found, expected = (module.state_dict() for module in poison.modules)
    assert all(bool(tensor.isfinite().all()) for tensor in found.values())
    torch.testing.assert_close(found, expected, **CLOSE)


# --- checkpoints


class SavesEpochs(pl.Callback):
    """Saves at the end of each epoch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.save_checkpoint(self.folder / f"{trainer.current_epoch}.ckpt")


@pytest.mark.parametrize("most", [1, 4])
def test_a_run_that_is_continued_is_the_unbroken_one_bit_for_bit(
    make_trainer: Make,
    make_data: Make,
    make_module: Make,
    graphs: list[int],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    most: int,
) -> None:
    set_most(monkeypatch, most)

    def fit(epochs: int, path: Path | None = None) -> Any:
        module = make_module(compile=True, noisy=True)
        callbacks = [EMATargetNetwork(tau=0.1), SavesEpochs(tmp_path)]
        trainer = make_trainer(max_epochs=epochs, callbacks=callbacks)
        trainer.fit(module, make_data(seed=1), ckpt_path=path, weights_only=True)
        return trainer

    torch.manual_seed(0)
    whole = fit(2)
    set_most(monkeypatch, 2)  # what a longer run would choose; the first choice stays
    graphs.clear()
    rest = fit(2, tmp_path / "0.ckpt")
    assert graphs == [most] * (12 // most)
    one, other = whole.lightning_module, rest.lightning_module
    torch.testing.assert_close(one.state_dict(), other.state_dict(), rtol=0, atol=0)
    states = [trainer.optimizers[0].state_dict()["state"] for trainer in (whole, rest)]
    torch.testing.assert_close(*states, rtol=0, atol=0)


# --- how many in a graph


@pytest.mark.parametrize(
    ("told", "rows"),
    [
        ([[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.0], [3.0, 4.0]]),
        ([[1.0, 2.0], [[3.0, 4.0], [5.0, 6.0]]], [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]),
        ([[1.0, 2.0, 3.0], [4.0]], [[1.0, 2.0, 3.0], [4.0, 0.0, 0.0]]),
        ([[[1.0, 2.0], [3.0, 4.0]], [5.0]], [[1.0, 2.0], [3.0, 4.0], [5.0, 0.0]]),
    ],
    ids=["single", "several at once", "fewer learn", "fewer learn after several"],
)
def test_what_is_told_stands_one_by_one(told: list[Any], rows: list[list[float]]) -> None:
    assert one_by_one([torch.tensor(one) for one in told]).tolist() == rows


@pytest.mark.parametrize(
    ("updates", "size"),
    [
        (1, 0),
        (GRAPHS_PAY_BACK_AFTER_UPDATES - 1, 0),
        (GRAPHS_PAY_BACK_AFTER_UPDATES, MOST_UPDATES_IN_A_GRAPH),
        (None, MOST_UPDATES_IN_A_GRAPH),
    ],
)
def test_long_runs_have_graphs(updates: int | None, size: int) -> None:
    assert updates_in_a_graph(updates, num_weights=1, is_distributional=False) == size


def test_graphs_are_for_small_networks_of_one_output_an_action() -> None:
    most = MOST_WEIGHTS_OF_GRAPHS
    assert updates_in_a_graph(None, num_weights=most, is_distributional=False) > 1
    assert updates_in_a_graph(None, num_weights=most + 1, is_distributional=False) == 0
    assert updates_in_a_graph(None, num_weights=most, is_distributional=True) == 0


@pytest.mark.parametrize(
    ("updates", "periods", "size"),
    [(100, [], 5), (100, [50], 5), (64, [], 4), (64, [2000], 4), (7, [], 1), (100, [3], 1)],
)
def test_graphs_divide_an_iteration_and_the_periods(
    updates: int, periods: list[int], size: int
) -> None:
    operations = [EMATargetNetwork(tau=1.0, every_n_updates=period) for period in periods]
    assert size_of_graphs(updates, operations, 5) == size


def test_a_period_in_env_steps_does_not_shorten_graphs_for_good() -> None:
    operation = EMATargetNetwork(tau=1.0, every_n_env_steps=7)
    assert size_of_graphs(100, [operation], 5) == 5


# --- compiled


@pytest.mark.skipif(not has_cxx_compiler(), reason="no C++ compiler")
@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "most"),
    [
        ("double", 1),  # the compiler takes as much longer as there are updates in a graph
        ("c51, noisy, dueling", 2),
        ("iqn, munchausen", 2),
        ("adamw", 2),
        ("rmsprop", 2),
        ("sgd", 4),
    ],
)
def test_compiled_graphs_are_those_one_by_one(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    case: str,
    most: int,
) -> None:
    caplog.set_level(logging.WARNING)
    set_most(monkeypatch, most)
    found = run(compile=True, **CASES[case])
    assert not [r for r in caplog.records if r.name == compilation.__name__], "it was compiled"
    assert_same(found, run(compile=False, **CASES[case]))


def test_a_graph_that_does_not_compile_leaves_the_optimizer_to_itself(
    run: Run, graphs: list[int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(blocks_module.Graph, "compiled", lambda *_, **__: lambda *_: 1 / 0)
    set_most(monkeypatch, 4)
    found = run(compile=True)
    [line] = [r.getMessage() for r in caplog.records if r.name == compilation.__name__]
    assert line == "compiling failed, the optimizer steps by itself: division by zero"
    assert graphs == [UPDATES], "of the first iteration, uncompiled"
    assert_same(found, run(compile=False))


def test_the_first_graph_starts_from_the_weights_that_there_are(graphs: list[int]) -> None:
    """The check before it, which makes the updates twice, leaves no trace."""
    weight = torch.nn.Parameter(torch.tensor([1.0]))

    def step(batch: Any) -> Any:
        gradient = 2 * weight.detach()
        return blocks_module.LearningStep(
            [gradient], torch.zeros(4), torch.zeros(1), torch.zeros(1)
        )

    optimizer = SGD([weight], lr=0.1)
    layout = OptimizerLayout(optimizer, [weight])
    made = Blocks(step, layout, most=2, device=torch.device("cpu"))
    assert made.is_worth_it([], 2)
    counts = [Counts(1, 1), Counts(2, 2)]
    batch: Any = None
    made([batch, batch], counts, [])
    assert weight.item() == pytest.approx(0.8 * 0.8)
