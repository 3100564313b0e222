"""The equal-weight mean of snapshots, and that it acts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from support.fixed_iterations import Diary, Do, FixedIterations, one_thread, state

from lightning_dqn import DQN
from lightning_dqn.callbacks import EMATargetNetwork, WeightAverage
from lightning_dqn.formats.saved import load_agent, save_weights

Make = Callable[..., Any]


@pytest.fixture
def fit(make_trainer: Make, make_module: Make) -> Iterator[Make]:
    """A function that fits 12 updates an epoch."""

    def run(
        *callbacks: pl.Callback, module: DQN | None = None, ckpt: Path | None = None, **trainer: Any
    ) -> tuple[DQN, pl.Trainer]:
        module = module or make_module()
        assert module is not None
        made = make_trainer(callbacks=[EMATargetNetwork(tau=0.1), *callbacks], **trainer)
        made.fit(module, FixedIterations(module), [], ckpt_path=ckpt)
        return module, made

    with one_thread():
        yield run


@pytest.mark.parametrize(
    ("arguments", "snapshots"),
    [
        ({"every_n_updates": 1}, list(range(1, 13))),
        ({"every_n_updates": 3, "start": 4}, [6, 9, 12]),
        ({"every_n_updates": 3, "until": 7}, [3, 6]),
        ({"every_n_env_steps": 10}, [5, 10]),
    ],
)
def test_it_is_the_plain_mean_of_the_snapshots(
    fit: Make, arguments: dict[str, int], snapshots: list[int]
) -> None:
    online, average = Diary(), Diary("average_network")
    fit(WeightAverage(**arguments), online, average)  # type: ignore[arg-type]
    for update in range(1, 13):
        taken = [online.weights[s] for s in snapshots if s <= update] or [online.weights[0]]
        for name, found in average.weights[update].items():
            expected = torch.stack([weights[name] for weights in taken]).mean(dim=0)
            torch.testing.assert_close(found, expected)


def test_the_online_network_acts_until_the_first_snapshot(fit: Make) -> None:
    acting: list[str] = []
    note = Do(lambda module: acting.append(module.agent.evaluation_network))
    module, _ = fit(WeightAverage(every_n_updates=5), note)
    assert acting == ["q_network"] * 4 + ["average_network"] * 8
    observation = torch.randn(5, 4)
    assert torch.equal(module.q_values(observation), module.agent.average_network(observation))


def test_without_evaluation_the_online_network_goes_on_acting(fit: Make) -> None:
    module, _ = fit(WeightAverage(every_n_updates=5, evaluate=False))
    assert module.agent.evaluation_network == "q_network"


def test_a_slow_and_an_equal_average_stand_side_by_side(fit: Make) -> None:
    slow = EMATargetNetwork(decay=0.9, network="slow")
    module, _ = fit(slow, WeightAverage(every_n_updates=4))
    tensors = [module.agent.get_submodule(n).head.weight for n in ("slow", "average_network")]
    assert not torch.equal(*tensors)
    assert not torch.equal(tensors[1], module.q_network.head.weight)


@pytest.mark.parametrize("policy", ["copy", "average", "skip"])
def test_the_policy_for_buffers_is_obeyed(fit: Make, make_module: Make, policy: Any) -> None:
    module = make_module(network=[{"Linear": 8}, {"BatchNorm1d": 8}, "ReLU"])
    online = Diary()
    fit(WeightAverage(every_n_updates=6, buffers=policy), online, module=module)
    name = "torso.1.running_mean"
    old, new = online.weights[6][name], online.weights[12][name]
    expected = {"copy": new, "average": (old + new) / 2, "skip": torch.zeros(8)}[policy]
    torch.testing.assert_close(module.agent.average_network.state_dict()[name], expected)


def test_a_continued_run_has_the_mean_of_the_unbroken_one(fit: Make, tmp_path: Path) -> None:
    whole, _ = fit(WeightAverage(every_n_updates=5), max_epochs=2)
    _, trainer = fit(WeightAverage(every_n_updates=5))
    trainer.save_checkpoint(path := tmp_path / "a.ckpt")
    average = WeightAverage(every_n_updates=5)
    continued, _ = fit(average, max_epochs=2, ckpt=path)
    assert average.times_acted == 4
    assert continued.agent.evaluation_network == "average_network"
    for name, tensor in state(whole).items():
        assert torch.equal(continued.state_dict()[name], tensor), name


def test_checkpoint_and_export_carry_the_mean_and_that_it_acts(fit: Make, tmp_path: Path) -> None:
    module, trainer = fit(WeightAverage(every_n_updates=5))
    trainer.save_checkpoint(path := tmp_path / "a.ckpt")
    save_weights(module.agent, tmp_path)
    observation = torch.randn(5, 4)
    for loaded in (DQN.load_from_checkpoint(path), load_agent(tmp_path)):
        assert torch.equal(loaded.q_values(observation), module.q_values(observation))
        assert not torch.equal(loaded.q_values(observation), module.q_network(observation))
