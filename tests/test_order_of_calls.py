"""A tape of what happens in which order under a real Trainer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from lightning_dqn import DQN, CollectionConfig, LossOutput
from lightning_dqn.callbacks import EMATargetNetwork
from lightning_dqn.collecting.collector import Collector
from lightning_dqn.replay.ring import ReplayBuffer
from lightning_dqn.replay.samplers.prioritized import PrioritizedSampler, PrioritizedSampling
from lightning_dqn.transitions import Transitions

Make = Callable[..., Any]
ITERATIONS, UPDATES = 3, 4


class Tape(list[str]):
    """What was called, in order."""

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``function`` that notes ``name`` when it is called."""

        def noted(*args: Any, **kwargs: Any) -> Any:
            self.append(name)
            return function(*args, **kwargs)

        return noted


@pytest.fixture
def tape(monkeypatch: pytest.MonkeyPatch) -> Tape:
    tape = Tape()
    monkeypatch.setattr(Collector, "collect", tape.around("collect", Collector.collect))
    monkeypatch.setattr(ReplayBuffer, "sample", tape.around("sample", ReplayBuffer.sample))
    return tape


def noted_parts(tape: Tape) -> tuple[type[DQN], Any, EMATargetNetwork]:
    """Return a module class, an optimizer factory and a callback that write on the tape."""

    class NotedDQN(DQN):
        def loss(self, batch: Transitions) -> LossOutput:
            tape.append("loss")
            return super().loss(batch)

    class NotedSGD(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            if closure is not None:  # Lightning's closure runs before the step
                closure()
            tape.append("step")
            return super().step()

    class NotedTarget(EMATargetNetwork):
        def __call__(self, module: DQN) -> None:
            tape.append("target")
            super().__call__(module)

    return NotedDQN, lambda p: NotedSGD(p, lr=1e-3), NotedTarget(tau=0.1)


def test_collect_sample_then_loss_step_target_for_every_update(
    tape: Tape, make_trainer: Make, make_data: Make, make_module: Make
) -> None:
    kind, optimizer, target = noted_parts(tape)
    module = make_module(kind=kind, optimizer=optimizer)
    trainer = make_trainer(callbacks=[target])
    trainer.fit(module, make_data(updates_per_iteration=UPDATES))
    warm_up, iteration = ["collect"], ["collect", "sample"] + ["loss", "step", "target"] * UPDATES
    assert tape == warm_up + iteration * ITERATIONS


@pytest.mark.parametrize("overlap", [False, True])
def test_priorities_are_updated_once_an_iteration_before_the_next_rows_are_stored(
    tape: Tape,
    make_trainer: Make,
    make_data: Make,
    make_module: Make,
    monkeypatch: pytest.MonkeyPatch,
    overlap: bool,
) -> None:
    for name in ("sample", "update_priorities"):
        noted = tape.around(name, getattr(PrioritizedSampler, name))
        monkeypatch.setattr(PrioritizedSampler, name, noted)
    monkeypatch.setattr(ReplayBuffer, "extend", tape.around("extend", ReplayBuffer.extend))
    kind, optimizer, target = noted_parts(tape)
    module = make_module(kind=kind, optimizer=optimizer)
    data = make_data(updates_per_iteration=UPDATES, overlap=overlap, sampler=PrioritizedSampling())
    make_trainer(callbacks=[target]).fit(module, data)
    warm_up, rest = ["extend"], ["loss", "step", "target"] * UPDATES
    iteration = ["extend", "sample", *rest, "update_priorities"]
    # With overlap rows are collected at any time, but never stored.
    without_collecting = [name for name in tape if name != "collect"]
    assert without_collecting == warm_up + iteration * ITERATIONS


def test_the_step_sees_the_gradient_of_its_own_loss_and_the_target_the_new_weights(
    make_trainer: Make, make_data: Make, make_module: Make
) -> None:
    """With SGD of rate 1 every step moves the weights by the gradient, and tau=1 copies them."""
    gradients: list[torch.Tensor] = []
    positions: list[torch.Tensor] = []

    def noted(batch: Transitions) -> Any:
        found = step(batch)
        gradients.append(torch.cat([g.flatten() for g in found.gradients]))
        positions.append(torch.nn.utils.parameters_to_vector(module.q_network.parameters()))
        if len(positions) > 1:
            copied = torch.nn.utils.parameters_to_vector(module.target_network.parameters())
            assert torch.equal(copied, positions[-1])
        return found

    module = make_module(optimizer=lambda p: torch.optim.SGD(p, lr=1.0))
    step, module.update.step = module.update.step, noted
    make_trainer(callbacks=[EMATargetNetwork(tau=1)]).fit(module, make_data())
    assert len(positions) == ITERATIONS * UPDATES
    for before, gradient, after in zip(positions, gradients, positions[1:], strict=False):
        torch.testing.assert_close(after, before - gradient)


def test_global_step_counts_iterations_and_the_module_counts_updates_and_env_steps(
    make_trainer: Make, make_data: Make, make_module: Make
) -> None:
    counts = []

    class Counts(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, module: Any, *args: Any) -> None:
            counts.append((trainer.global_step, module.updates, module.env_steps))

    module = make_module()
    make_trainer(callbacks=[EMATargetNetwork(tau=0.1), Counts()]).fit(module, make_data())
    assert counts == [(1, 4, 24), (2, 8, 32), (3, 12, 40)]


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.AdamW])
@pytest.mark.parametrize("of_module", [False, True])
def test_before_optimizer_step_fires_before_every_update_with_gradients_present(
    make_trainer: Make, make_data: Make, make_module: Make, optimizer: Any, of_module: bool
) -> None:
    seen = []

    def look(module: Any, given: torch.optim.Optimizer) -> None:
        assert given is module.optimizers().optimizer
        gradients = [p.grad for p in module.q_network.parameters()]
        assert all(g is not None and g.isfinite().all() for g in gradients)
        assert any(g.any() for g in gradients)
        assert all(p.grad is None for p in module.target_network.parameters())
        seen.append(module.updates)

    class Watches(pl.Callback):
        def on_before_optimizer_step(self, trainer: Any, module: Any, optimizer: Any) -> None:
            look(module, optimizer)

    class Watching(DQN):
        def on_before_optimizer_step(self, optimizer: Any) -> None:
            look(self, optimizer)

    module = make_module(
        kind=Watching if of_module else DQN, optimizer=lambda p: optimizer(p, lr=1e-3, fused=True)
    )
    callbacks = [EMATargetNetwork(tau=0.1), *([] if of_module else [Watches()])]
    trainer = make_trainer(callbacks=callbacks)
    trainer.fit(module, make_data())
    assert seen == list(range(ITERATIONS * UPDATES))
    assert trainer.global_step == ITERATIONS
    assert module.update.before_step == [], "none is kept when the fit is over"


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam])
def test_what_is_done_to_gradients_before_a_step_is_what_the_step_takes(
    make_trainer: Make, make_data: Make, make_module: Make, optimizer: Any
) -> None:
    class Stops(pl.Callback):
        def on_before_optimizer_step(self, trainer: Any, module: Any, optimizer: Any) -> None:
            for parameter in module.q_network.parameters():
                parameter.grad = torch.zeros_like(parameter)

    module = make_module(optimizer=lambda p: optimizer(p, lr=1.0, fused=True))
    before = torch.nn.utils.parameters_to_vector(module.q_network.parameters()).detach().clone()
    make_trainer(callbacks=[EMATargetNetwork(tau=0.1), Stops()]).fit(module, make_data())
    after = torch.nn.utils.parameters_to_vector(module.q_network.parameters())
    assert torch.equal(before, after)


def test_watching_the_gradients_changes_nothing_of_what_is_learned(
    make_trainer: Make, make_data: Make, make_module: Make
) -> None:
    class Watches(pl.Callback):
        def on_before_optimizer_step(self, *args: Any) -> None: ...

    def learned(*callbacks: pl.Callback) -> torch.Tensor:
        module = make_module(optimizer=lambda p: torch.optim.Adam(p, lr=1e-2, fused=True))
        trainer = make_trainer(callbacks=[EMATargetNetwork(tau=0.1), *callbacks])
        trainer.fit(module, make_data())
        return torch.nn.utils.parameters_to_vector(module.q_network.parameters())

    assert torch.equal(learned(), learned(Watches()))


class ToldEpsilon(pl.Callback):
    """Writes down what each iteration tells of random actions."""

    def __init__(self) -> None:
        self.epsilon: list[float] = []

    def on_train_batch_start(
        self, trainer: pl.Trainer, module: Any, iteration: Any, batch_idx: int
    ) -> None:
        self.epsilon.append(iteration.epsilon)


@pytest.mark.parametrize(("noisy", "epsilon"), [(True, 0.0), (False, 1.0)])
def test_a_network_with_noise_takes_random_actions_in_the_warm_up_alone(
    make_trainer: Any, make_data: Any, make_module: Any, noisy: bool, epsilon: float
) -> None:
    data = make_data(collection=CollectionConfig(warmup_env_steps=16, epsilon=1.0))
    told = ToldEpsilon()
    callbacks = [EMATargetNetwork(tau=0.1), told]
    make_trainer(callbacks=callbacks).fit(make_module(noisy=noisy), data)
    assert told.epsilon == [epsilon] * ITERATIONS
