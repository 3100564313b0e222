"""Which optimizers and schedules are refused, before a run and where one goes on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from support.short_fits import without_target
from torch import nn
from torch.optim import SGD, Adam, AdamW, RMSprop
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    LinearLR,
    OneCycleLR,
    ReduceLROnPlateau,
    StepLR,
)

from lightning_dqn import DQN
from lightning_dqn.learning.optimizers import check_lr_scheduler, check_optimizer


@pytest.mark.parametrize(
    ("kind", "wish"),
    [(torch.optim.LBFGS, "a closure"), (torch.optim.SparseAdam, "sparse gradients")],
)
def test_an_optimizer_that_wants_something_else_is_refused(kind: Any, wish: str) -> None:
    network = nn.Linear(2, 2)
    with pytest.raises(ValueError, match=f"optimizer={kind.__name__}: wants {wish}"):
        check_optimizer(kind(network.parameters()), network)


@pytest.mark.parametrize("kind", [Adam, AdamW, SGD, RMSprop, torch.optim.RAdam])
def test_an_optimizer_that_steps_along_gradients_is_taken(kind: Any) -> None:
    network = nn.Linear(2, 2)
    check_optimizer(kind(network.parameters(), lr=0.1), network)


def test_an_optimizer_has_all_that_learns_and_nothing_else() -> None:
    network, other = nn.Linear(2, 2), nn.Linear(2, 2)
    with pytest.raises(ValueError, match=r"^optimizer=SGD: lacks weight; give it all"):
        check_optimizer(SGD([network.bias], lr=0.1), network)
    with pytest.raises(ValueError, match=r"^optimizer=SGD: lacks weight"):
        check_optimizer(SGD(other.parameters(), lr=0.1), network)
    with pytest.raises(ValueError, match=r"^optimizer=SGD: has parameters that nothing here"):
        check_optimizer(SGD([*network.parameters(), other.bias], lr=0.1), network)
    network.weight.requires_grad_(False)
    check_optimizer(SGD([network.bias], lr=0.1), network)


@pytest.mark.parametrize("way", ["argument", "hook"])
def test_an_optimizer_of_a_part_is_refused_where_a_fit_begins(
    way: str, make_trainer: Any, make_data: Any
) -> None:
    class OfTheTarget(DQN):
        def configure_optimizers(self) -> Any:
            return SGD(self.target_network.parameters(), lr=0.1)

    def of_the_head(parameters: Any) -> Any:
        return SGD(list(parameters)[-2:], lr=0.1)

    module = OfTheTarget("CartPole-v1")
    if way == "argument":
        module = DQN("CartPole-v1", optimizer=of_the_head)  # type: ignore[assignment]
    with pytest.raises(ValueError, match=r"^optimizer=SGD: lacks torso\.1\.weight"):
        make_trainer().fit(module, make_data())


def test_a_schedule_that_follows_a_value_is_refused() -> None:
    optimizer = SGD(nn.Linear(2, 2).parameters(), lr=0.1)
    with pytest.raises(ValueError, match=r"lr_scheduler=ReduceLROnPlateau: .* LinearLR"):
        check_lr_scheduler(ReduceLROnPlateau(optimizer), None)
    for in_lightnings_way in (
        {"scheduler": ReduceLROnPlateau(optimizer)},
        {"scheduler": ReduceLROnPlateau(optimizer), "monitor": "loss"},
    ):
        with pytest.raises(ValueError, match=r"lr_scheduler=ReduceLROnPlateau"):
            check_lr_scheduler(in_lightnings_way, None)
    check_lr_scheduler(LinearLR(optimizer), None)


@pytest.mark.parametrize(("name", "value"), [("interval", "epoch"), ("frequency", 5)])
def test_a_schedule_that_counts_something_else_is_refused(name: str, value: Any) -> None:
    linear = LinearLR(SGD(nn.Linear(2, 2).parameters(), lr=0.1))
    with pytest.raises(
        ValueError, match=rf"lr_scheduler\['{name}'\]={value!r}: it is stepped once"
    ):
        check_lr_scheduler({"scheduler": linear, name: value}, None)
    check_lr_scheduler({"scheduler": linear, "interval": "step", "frequency": 1}, 10)
    check_lr_scheduler({"scheduler": linear}, None)


@pytest.fixture
def fit(make_trainer: Any, make_data: Any) -> Callable[..., Any]:
    """A function that fits a module, for 3 iterations an epoch, and returns its Trainer."""

    def run(module: DQN, *, ckpt_path: Path | None = None, **flags: Any) -> Any:
        trainer = make_trainer(**flags)
        trainer.fit(module, make_data(), ckpt_path=ckpt_path)
        return trainer

    return run


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            {"optimizer": "adam"},
            r"optimizer='adam': is no function of the parameters; pass partial",
        ),
        ({"optimizer": SGD([nn.Parameter(torch.ones(1))])}, "optimizer=SGD: is no function of"),
        ({"lr_scheduler": "step"}, r"lr_scheduler='step': is no function of the optimizer"),
    ],
)
def test_what_is_no_function_is_refused_where_it_is_given(
    make_module: Any, given: dict[str, Any], text: str
) -> None:
    with pytest.raises(ValueError, match=f"^{text}"):
        make_module(**given)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"optimizer": lambda parameters: None}, "optimizer: gives a NoneType, and no torch opt"),
        ({"lr_scheduler": lambda o: [StepLR(o, 1)]}, "lr_scheduler: gives a list, and no torch .*"),
        ({"lr_scheduler": lambda o: {"interval": "step"}}, "lr_scheduler: gives a NoneType"),
    ],
)
def test_what_gives_something_else_is_refused_by_what_it_gives(
    fit: Any, make_module: Any, given: dict[str, Any], text: str
) -> None:
    with pytest.raises(ValueError, match=f"^{text}"):
        fit(without_target(make_module, **given))


def of_ones_own(configure: Callable[[Any], Any]) -> type[DQN]:
    """Return a DQN whose optimizers are what a function of one, a SGD, gives."""

    class Own(DQN):
        def configure_optimizers(self) -> Any:
            return configure(SGD(self.q_network.parameters(), lr=1.0))

    return Own


@pytest.mark.filterwarnings("ignore:.*returned `None`:UserWarning")
@pytest.mark.filterwarnings("ignore:The lr scheduler dict contains:RuntimeWarning")
@pytest.mark.parametrize(
    ("configure", "text"),
    [
        (lambda o: None, "configure_optimizers: gives no optimizers, and a DQN steps one"),
        (lambda o: [o, o], "configure_optimizers: gives 2 optimizers, and a DQN steps one"),
        (
            lambda o: torch.optim.LBFGS(o.param_groups[0]["params"]),
            "optimizer=LBFGS: wants a closure",
        ),
        (
            lambda o: ([o], [{"scheduler": StepLR(o, 1), "interval": "step"}] * 2),
            "configure_optimizers: gives 2 schedulers, and a DQN steps one.*SequentialLR",
        ),
        (
            lambda o: {"optimizer": o, "lr_scheduler": StepLR(o, 1)},
            r"lr_scheduler\['interval'\]='epoch': it is stepped once an iteration.*: \"step\"",
        ),
        (lambda o: ([o], [StepLR(o, 1)]), r"lr_scheduler\['interval'\]='epoch'"),
        (
            lambda o: (
                [o],
                [{"scheduler": StepLR(o, 1), "interval": "step", "frequency": 4}],
            ),
            r"lr_scheduler\['frequency'\]=4",
        ),
        (
            lambda o: {
                "optimizer": o,
                "lr_scheduler": {"scheduler": ReduceLROnPlateau(o), "monitor": "train/loss"},
            },
            "lr_scheduler=ReduceLROnPlateau",
        ),
    ],
)
def test_what_is_configured_by_ones_own_is_checked_too(
    fit: Any, make_module: Any, configure: Any, text: str
) -> None:
    module = without_target(make_module, kind=of_ones_own(configure))
    with pytest.raises(ValueError, match=f"^{text}"):
        fit(module)
    assert module.updates == 0


def test_a_schedule_that_is_configured_by_ones_own_is_stepped_once_an_iteration(
    fit: Any, make_module: Any
) -> None:
    kind = of_ones_own(lambda o: ([o], [{"scheduler": StepLR(o, 1, 0.5), "interval": "step"}]))
    trainer = fit(without_target(make_module, kind=kind))
    assert trainer.optimizers[0].param_groups[0]["lr"] == 0.5**3


def stepped(optimizer: Any) -> Any:
    return StepLR(optimizer, 1, 0.5)


@pytest.mark.parametrize(
    ("saved", "given", "text"),
    [
        (
            {"lr_scheduler": stepped},
            {},
            r"lr_scheduler=None: the run that ckpt_path continues has StepLR; pass it, also to "
            "load_from_checkpoint, which brings none: lr_scheduler=...",
        ),
        (
            {},
            {"lr_scheduler": stepped},
            "lr_scheduler=StepLR: the run that ckpt_path continues has None; leave lr_sch",
        ),
        (
            {"optimizer": partial(SGD, lr=0.1)},
            {},
            "optimizer=Adam: the run that ckpt_path continues has SGD; pass it, .*optimizer=...",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:this checkpoint was saved after its fit:UserWarning")
def test_a_run_goes_on_with_the_optimizer_and_the_schedule_that_it_had(
    fit: Any, make_module: Any, tmp_path: Path, saved: Any, given: Any, text: str
) -> None:
    path = tmp_path / "a.ckpt"
    fit(without_target(make_module, **saved)).save_checkpoint(path)
    other = DQN.load_from_checkpoint(path, **given)
    with pytest.raises(ValueError, match=f"^{text}"):
        fit(other, ckpt_path=path, max_epochs=2)
    same = DQN.load_from_checkpoint(path, **saved)
    trainer = fit(same, ckpt_path=path, max_epochs=2)
    assert same.updates == 24
    if "lr_scheduler" in saved:
        assert trainer.optimizers[0].param_groups[0]["lr"] == 1e-3 * 0.5**6


@pytest.mark.filterwarnings("ignore:this checkpoint was saved after its fit:UserWarning")
def test_a_checkpoint_of_before_they_were_noted_goes_on(
    fit: Any, make_module: Any, tmp_path: Path
) -> None:
    path = tmp_path / "a.ckpt"
    fit(without_target(make_module, lr_scheduler=stepped)).save_checkpoint(path)
    checkpoint = torch.load(path, weights_only=True)
    del checkpoint["dqn"]["continuation"]["optimizers"]
    torch.save(checkpoint, path)
    module = without_target(make_module)
    fit(module, ckpt_path=path, max_epochs=2)
    assert module.updates == 24


class Rates(pl.Callback):
    """Notes the learning rate of each iteration."""

    def __init__(self) -> None:
        self.noted: list[float] = []

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self.noted.append(float(trainer.optimizers[0].param_groups[0]["lr"]))


@pytest.mark.parametrize("is_tensor", [False, True])
@pytest.mark.parametrize("kind", ["cosine", "linear"])
@pytest.mark.filterwarnings("ignore:this checkpoint was saved after its fit:UserWarning")
def test_a_schedule_over_the_run_is_as_long_as_the_run_that_goes_on(
    fit: Any, make_module: Any, tmp_path: Path, kind: str, is_tensor: bool
) -> None:
    """Else a cosine rises again where the shorter run ended, and a line stays at its end."""
    schedules = {
        "cosine": lambda length: partial(CosineAnnealingLR, T_max=length),
        "linear": lambda length: partial(
            LinearLR, start_factor=1, end_factor=0.1, total_iters=length
        ),
    }

    def module(length: int) -> DQN:
        rate = torch.tensor(1e-3) if is_tensor else 1e-3
        adam = partial(Adam, lr=rate, fused=True)
        return without_target(make_module, optimizer=adam, lr_scheduler=schedules[kind](length))

    whole, rest = Rates(), Rates()
    fit(module(6), callbacks=[whole], max_epochs=2)
    fit(module(3)).save_checkpoint(tmp_path / "a.ckpt")
    fit(module(6), callbacks=[rest], ckpt_path=tmp_path / "a.ckpt", max_epochs=2)
    assert whole.noted[3] < 1e-3
    assert rest.noted == pytest.approx(whole.noted[3:])


@pytest.mark.filterwarnings("ignore:this checkpoint was saved after its fit:UserWarning")
def test_a_schedule_that_can_be_of_no_other_length_is_refused(
    fit: Any, make_module: Any, tmp_path: Path
) -> None:
    def module(length: int) -> DQN:
        cycle = partial(OneCycleLR, max_lr=1e-3, total_steps=length)
        return without_target(make_module, lr_scheduler=cycle)

    fit(module(3)).save_checkpoint(tmp_path / "a.ckpt")
    text = r"^lr_scheduler=OneCycleLR\(total_steps=6\): the run .* has total_steps=3, and"
    with pytest.raises(ValueError, match=text):
        fit(module(6), ckpt_path=tmp_path / "a.ckpt", max_epochs=2)
