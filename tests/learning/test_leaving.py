"""What a run leaves that is broken off: layers in their own modes, and nothing of its callbacks."""

from __future__ import annotations

import signal
import warnings
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import LambdaCallback
from torch import nn

from lightning_dqn.callbacks import EMATargetNetwork, SafeStop
from lightning_dqn.networks.torsos import MLP
from lightning_dqn.safekeeping.signals import Stopped


class Breaks(pl.Callback):
    """Ends a run, once, in the midst of an evaluation, a prediction or training."""

    def __init__(self, stage: str, error: type[BaseException] = RuntimeError) -> None:
        self.error: type[BaseException] | None = error
        setattr(self, f"on_{stage}_batch_end", self._end)

    def _end(self, *_: Any) -> None:
        error, self.error = self.error, None
        if error is not None:
            raise error("on purpose")

    def on_before_optimizer_step(self, *_: Any) -> None:
        """Be called before every update."""


class Network(nn.Module):
    """Has layers that act otherwise while they learn, and a frozen one in evaluation mode."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.BatchNorm1d(4).requires_grad_(False).eval()
        self.layers = nn.Sequential(
            nn.Linear(4, 8), nn.Dropout(0.5), nn.BatchNorm1d(8), nn.Linear(8, 2)
        )

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.layers(self.body(observation))
        return out


@pytest.fixture(autouse=True)
def _signals_as_they_were() -> Iterator[None]:
    """Hear Ctrl-C again, which Lightning turns off where it came."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


def modes(module: Any) -> dict[str, bool]:
    return {name: layer.training for name, layer in module.named_modules()}


@pytest.mark.filterwarnings("ignore:Found . module.* in eval mode:UserWarning")
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("stage", ["validation", "test", "predict", "train"])
def test_a_run_that_is_broken_off_leaves_each_layer_in_its_own_mode(
    make_trainer: Any, make_data: Any, make_module: Any, stage: str, error: Any
) -> None:
    module, data = make_module(network=Network()), make_data()
    before = modes(module)
    assert [name for name, is_training in before.items() if not is_training] == [
        "agent.q_network.body",
        "agent.target_network.body",
    ]
    trainer = make_trainer(
        callbacks=[EMATargetNetwork(tau=0.1), Breaks(stage, error)], limit_val_batches=2
    )
    run, given = {
        "predict": (trainer.predict, {"dataloaders": [torch.zeros(1, 1, 4)]}),
        "test": (trainer.test, {"datamodule": data, "verbose": False}),
    }.get(stage, (trainer.fit, {"datamodule": data}))
    with pytest.raises((SystemExit, RuntimeError)):
        run(module, **given)
    after = modes(module)
    copies = {name: mode for name, mode in after.items() if "target_network" in name}
    assert all(copies.values()), "as Lightning expects them at the start of a fit"
    assert after | copies == before | copies
    assert module.update.before_step == []


@pytest.mark.parametrize("error", [None, RuntimeError])
def test_other_modules_are_given_the_advice_again_that_a_dqn_does_without(
    make_trainer: Any, make_data: Any, make_module: Any, error: Any
) -> None:
    before = list(warnings.filters)
    seen = []
    callbacks: list[pl.Callback] = [
        EMATargetNetwork(tau=0.1),
        LambdaCallback(on_train_start=lambda *_: seen.extend(warnings.filters)),
    ]
    trainer = make_trainer(callbacks=callbacks if error is None else [*callbacks, Breaks("train")])
    with nullcontext() if error is None else pytest.raises(error):
        trainer.fit(make_module(), make_data())
    assert any("no logger configured" in str(one) for one in seen)
    assert warnings.filters == before


def test_learning_goes_on_in_training_mode_after_an_evaluation_that_was_broken_off(
    make_trainer: Any, make_data: Any, make_module: Any
) -> None:
    module, data = make_module(network=MLP(hidden=[8], noisy=True)), make_data()
    callbacks = [EMATargetNetwork(tau=0.1), Breaks("validation")]
    with pytest.raises(RuntimeError, match="on purpose"):
        make_trainer(callbacks=callbacks, limit_val_batches=2).fit(module, data)
    before = module.q_network.head.weight_sigma.clone()
    make_trainer(callbacks=[EMATargetNetwork(tau=0.1)]).fit(module, data)
    assert not torch.equal(module.q_network.head.weight_sigma, before)


def test_a_stop_in_an_evaluation_goes_on_with_the_same_objects_as_with_new_ones(
    make_trainer: Any, make_data: Any, make_module: Any, tmp_path: Any
) -> None:
    stop = SafeStop(tmp_path / "last.ckpt")

    class Asks(pl.Callback):
        def on_validation_batch_start(self, *_: Any) -> None:
            stop.listener.ask()

    def trainer(*callbacks: pl.Callback) -> pl.Trainer:
        every = [EMATargetNetwork(tau=0.1), *callbacks]
        flags = {"limit_val_batches": 2, "max_epochs": 2, "enable_checkpointing": bool(callbacks)}
        return make_trainer(callbacks=every, default_root_dir=tmp_path, **flags)

    def weights(module: Any) -> torch.Tensor:
        return nn.utils.parameters_to_vector(module.q_network.parameters())

    network = [{"Linear": 8}, {"Dropout": 0.5}]
    module, data = make_module(network=network), make_data()
    with pytest.raises(Stopped):
        trainer(stop, Asks()).fit(module, data)
    again = make_module(network=network)
    trainer().fit(again, make_data(), ckpt_path=tmp_path / "last.ckpt")
    trainer().fit(module, data, ckpt_path=tmp_path / "last.ckpt")
    assert module.updates == again.updates == 24
    assert torch.equal(weights(module), weights(again))


def test_noise_of_a_module_in_evaluation_mode_is_missed_by_the_name_of_its_mode(
    make_trainer: Any, make_data: Any, make_module: Any
) -> None:
    module = make_module(network=MLP(hidden=[8], noisy=True)).eval()
    trainer = make_trainer(callbacks=[EMATargetNetwork(tau=0.1)])
    remedy = r"weight_sigma.*in evaluation mode: call module\.train\(\) before the fit"
    with (
        pytest.warns(UserWarning, match="in eval mode at the start of training"),
        pytest.raises(ValueError, match=remedy),
    ):
        trainer.fit(module, make_data())
