"""What training_step returns as priorities reaches the sampler, first and of all callbacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from support.short_fits import OnBatch, callbacks_of, without_target
from torch import Tensor

from lightning_dqn import DQN, ReplayDataModule
from lightning_dqn.replay.priorities import ReturnPriorities
from lightning_dqn.replay.samplers.prioritized import PrioritizedSampler, PrioritizedSampling
from lightning_dqn.replay.samplers.uniform import UniformSampling
from lightning_dqn.transitions import Iteration


class TellsPriorities(DQN):
    """Learns as usual and returns other priorities: 0 to 15, then 16 to 31, ..."""

    def training_step(self, iteration: Iteration, batch_idx: int) -> dict[str, Tensor]:
        super().training_step(iteration, batch_idx)
        return {"priority": torch.arange(16.0).view(4, 4) + 16 * batch_idx}


class Saves(OnBatch, pl.callbacks.Checkpoint):
    """Looks at a batch's end when Lightning lets checkpoints be saved: after other callbacks."""


def test_what_training_step_returns_is_stored_before_any_callback_sees_the_batch_end(
    make_trainer, make_data, make_module
):
    tape = []

    def expect(name: str) -> Callable[..., None]:
        def compare(data: ReplayDataModule, iteration: Iteration) -> None:
            number = (iteration.env_steps - 24) // 8
            sampler = data.sampler
            assert isinstance(sampler, PrioritizedSampler)
            expected: dict[int, float] = {}
            for place, cell in enumerate(sampler._drawn.tolist()):
                value = (16 * number + place + 0.5) ** 0.6
                expected[cell] = max(value, expected.get(cell, 0.0))
            stored = sampler.state_dict()["priorities"][[*expected]].tolist()
            assert stored == pytest.approx([*expected.values()])
            tape.append((name, number))

        return compare

    callbacks = [Saves(after=expect("saves")), OnBatch(after=expect("looks on"))]
    data = make_data(sampler=PrioritizedSampling(epsilon=0.5))
    trainer = make_trainer(callbacks=callbacks, enable_checkpointing=True)
    trainer.fit(without_target(make_module, kind=TellsPriorities), data)
    assert tape == [(name, number) for number in range(3) for name in ("looks on", "saves")]


def test_who_returns_priorities_is_first_of_the_callbacks_during_a_fit_and_gone_after(
    make_trainer, make_data, make_module
):
    seen = []
    watch = OnBatch(before=lambda *_: seen.append(callbacks_of(trainer)))
    trainer = make_trainer(callbacks=[watch], max_epochs=2)
    own = callbacks_of(trainer)
    for _ in range(2):
        module = without_target(make_module)
        trainer.fit_loop.epoch_progress.reset()
        trainer.fit(module, make_data(sampler=PrioritizedSampling()))
        assert callbacks_of(trainer) == own
    assert len(seen) == 12
    for first, *others in seen:
        assert isinstance(first, ReturnPriorities)
        assert others == own


def test_who_returns_priorities_is_gone_after_a_fit_that_fails(
    make_trainer, make_data, make_module
):
    def fail(*_: Any) -> None:
        assert isinstance(trainer.callbacks[0], ReturnPriorities)
        raise KeyError("on purpose")

    trainer = make_trainer(callbacks=[OnBatch(before=fail)])
    own = callbacks_of(trainer)
    with pytest.raises(KeyError, match="on purpose"):
        trainer.fit(without_target(make_module), make_data(sampler=PrioritizedSampling()))
    assert callbacks_of(trainer) == own


def test_nobody_returns_priorities_where_sampling_does_not_go_by_them(
    make_trainer, make_data, make_module
):
    seen = []
    watch = OnBatch(before=lambda *_: seen.append(callbacks_of(trainer)))
    trainer = make_trainer(callbacks=[watch])
    own = callbacks_of(trainer)
    trainer.fit(without_target(make_module), make_data(sampler=UniformSampling()))
    assert seen == [own] * 3


def test_a_module_that_returns_no_priority_is_refused_by_name(make_trainer, make_data, make_module):
    class Forgetful(DQN):
        returns: Any = None

        def training_step(self, iteration: Iteration, batch_idx: int) -> Any:
            super().training_step(iteration, batch_idx)
            return self.returns

    for returned in (None, {"loss": torch.ones(())}):
        module = without_target(make_module, kind=Forgetful)
        module.returns = returned
        with pytest.raises(ValueError, match=r"Forgetful\.training_step returned no 'priority'"):
            make_trainer().fit(module, make_data(sampler=PrioritizedSampling()))
        make_trainer().fit(module, make_data(sampler=UniformSampling()))
        assert module.updates == 4 + 12
