"""Rainbow on frames, learned on the device: what crosses the bus, what is read back, what it gives.

Shapes: U updates, B batch, S stacked frames.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from support.frame_env import FrameEnv
from support.short_fits import OnBatch
from torch.utils._pytree import tree_leaves

from lightning_dqn import DQN, CollectionConfig, EnvironmentFactory, ReplayConfig, ReplayDataModule
from lightning_dqn.callbacks import EMATargetNetwork
from lightning_dqn.learning import compilation
from lightning_dqn.learning.compilation import compile_step, has_cxx_compiler
from lightning_dqn.networks.heads.categorical import CategoricalHead
from lightning_dqn.networks.torsos import Layers
from lightning_dqn.replay.samplers.prioritized import PrioritizedSampling
from lightning_dqn.transitions import Iteration

UPDATES = 4
# The compiler of torch 2.9 to 2.13 uses parts of torch that torch itself deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


def environment() -> EnvironmentFactory:
    return EnvironmentFactory(FrameEnv, num_envs=2, frame_stack=4)


def rainbow(*, noisy: bool = True, **arguments: Any) -> DQN:
    """Return Rainbow with one convolution."""
    torch.manual_seed(0)
    network = Layers(
        layers=[{"Conv2d": {"out_channels": 4, "kernel_size": 8, "stride": 8}}, "ReLU", "Flatten"],
        head_hidden=16,
        dueling=True,
        noisy=noisy,
    )
    head = CategoricalHead(9, -2.0, 2.0)
    options: dict[str, Any] = {"compile": False, **arguments}
    return DQN(environment(), network=network, head=head, **options)


def data_of(storage: str) -> ReplayDataModule:
    """Return epochs of 3 iterations of 8 env steps and as many minibatches as UPDATES."""
    return ReplayDataModule(
        environment(),
        batch_size=8,
        updates_per_iteration=UPDATES,
        env_steps_per_iteration=8,
        env_steps_per_epoch=24,
        replay=ReplayConfig(capacity=200, n_step=3, storage=storage),
        sampler=PrioritizedSampling(),
        collection=CollectionConfig(16),
    )


@pytest.fixture
def trainer_of(make_trainer: Any, device: torch.device) -> Callable[..., pl.Trainer]:
    """A function that makes a Trainer on the device."""
    accelerator = "gpu" if device.type == "cuda" else "cpu"

    def make(*callbacks: pl.Callback, **arguments: Any) -> pl.Trainer:
        moved = [EMATargetNetwork(tau=0.1), *callbacks]
        return make_trainer(accelerator=accelerator, devices=1, callbacks=moved, **arguments)

    return make


@pytest.mark.parametrize("storage", ["cpu", "accelerator"])
def test_rainbow_learns_on_the_device_from_bytes(
    trainer_of: Any, device: torch.device, storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frame crosses the bus as it is stored, a quarter of what floats would be."""
    module, data = rainbow(), data_of(storage)
    before = {name: p.detach().clone() for name, p in module.q_network.named_parameters()}
    sampled: list[torch.device] = []
    arrived: list[Iteration] = []
    move = data.transfer_batch_to_device

    def noted(batch: Any, to: torch.device, index: int) -> Any:
        sampled.append(batch.transitions.observation.device)
        return move(batch, to, index)

    monkeypatch.setattr(data, "transfer_batch_to_device", noted)
    look = OnBatch(before=lambda _, batch: arrived.append(batch))
    trainer_of(look).fit(module, data)
    assert {one.type for one in sampled} == {device.type if storage != "cpu" else "cpu"}
    assert len(arrived) == 3
    for iteration in arrived:
        frames = iteration.transitions.observation
        assert (frames.dtype, frames.device) == (torch.uint8, device)
        assert frames.shape == (UPDATES, 8, 4, 84, 84)
    assert (module.updates, module.env_steps) == (3 * UPDATES, 16 + 24)
    for name, parameter in module.q_network.named_parameters():
        assert parameter.isfinite().all(), name
        assert not torch.equal(parameter.cpu(), before[name]), name


class NoReadBack(pl.Callback):
    """Lets nothing be read back from the first update of an iteration to its last."""

    def __init__(self, context: Callable[[], AbstractContextManager[None]]) -> None:
        self.context = context
        self.stack = ExitStack()
        self.watched = 0

    def on_fit_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        pl_module.after_update.append(self.follow)

    def follow(self, module: DQN) -> None:
        """Open the context after an iteration's first update, close it after the last."""
        number = (module.updates - 1) % UPDATES
        if module.updates > UPDATES and number == 0:  # the first iteration makes what stays
            self.stack.enter_context(self.context())
        elif number == UPDATES - 1:
            self.stack.close()
        self.watched += module.updates > UPDATES and number > 0


def test_nothing_is_read_back_between_the_updates_of_an_iteration(
    trainer_of: Any, no_read_back: Any
) -> None:
    watch = NoReadBack(no_read_back)
    trainer_of(watch).fit(rainbow(), data_of("accelerator"))
    assert watch.watched == 2 * (UPDATES - 1)


def test_a_read_back_would_be_found(trainer_of: Any, no_read_back: Any) -> None:
    class Reads(pl.Callback):
        def on_fit_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
            pl_module.after_update.append(lambda m: float(m.minibatch.reward.sum()))

    watch = NoReadBack(no_read_back)
    with pytest.raises(RuntimeError, match=r"reads back|synchronizing"), watch.stack:
        trainer_of(watch, Reads()).fit(rainbow(), data_of("accelerator"))


@pytest.mark.slow
@pytest.mark.skipif(not has_cxx_compiler(), reason="no C++ compiler")
@pytest.mark.parametrize("noisy", [False, True])
def test_compiled_updates_on_the_device_are_the_eager_ones(
    trainer_of: Any,
    device: torch.device,
    noisy: bool,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To the rounding of float32; with noise on average alone, which their own check looks at.

    Recorded on a GPU, they draw anew at each replay and leave alone what they gave before.
    """
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    caplog.set_level(logging.WARNING)
    compared: list[int] = []

    def compare(_: Any, iteration: Iteration) -> None:
        update = module.update
        step = compile_step(update.step, True, expected_updates=None, device=device)
        for number, batch in enumerate(iteration.transitions.minibatches()):
            first = step(batch)
            kept = [tensor.clone() for tensor in tree_leaves(first)]
            second = step(batch)
            torch.testing.assert_close(tree_leaves(first), kept, atol=0, rtol=0)
            assert torch.equal(first.statistics, second.statistics) is not noisy
            if not noisy:
                torch.testing.assert_close(second, update.step(batch), atol=1e-4, rtol=1e-3)
            compared.append(number)

    module = rainbow(noisy=noisy)
    trainer_of(OnBatch(before=compare), limit_train_batches=1).fit(module, data_of("accelerator"))
    assert compared == list(range(UPDATES))
    assert not [r for r in caplog.records if r.name == compilation.__name__], "it was compiled"


class SavesEpochs(pl.Callback):
    """Saves at the end of each epoch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.save_checkpoint(self.folder / f"{trainer.current_epoch}.ckpt")


@pytest.mark.parametrize("storage", ["cpu", "accelerator"])
def test_a_run_that_is_continued_on_the_device_is_the_unbroken_one(
    trainer_of: Any, tmp_path: Path, storage: str, deterministic: None
) -> None:
    def fit(path: Path | None = None) -> DQN:
        module = rainbow()
        trainer = trainer_of(SavesEpochs(tmp_path), max_epochs=2)
        trainer.fit(module, data_of(storage), ckpt_path=path, weights_only=True)
        return module

    whole, rest = fit(), fit(tmp_path / "0.ckpt")
    assert (rest.updates, rest.env_steps) == (whole.updates, whole.env_steps)
    assert rest.updates == 2 * 3 * UPDATES
    torch.testing.assert_close(rest.state_dict(), whole.state_dict(), rtol=1e-4, atol=1e-5)


@pytest.fixture
def deterministic() -> Iterator[None]:
    """Convolutions that add in one order, so that only a lost state makes a difference."""
    before = torch.backends.cudnn.deterministic
    torch.backends.cudnn.deterministic = True
    yield
    torch.backends.cudnn.deterministic = before
