"""What a run is warned of while it learns."""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from lightning_dqn.agent import Agent
from lightning_dqn.callbacks import EMATargetNetwork, WeightAverage
from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.learning.targets import Munchausen, Target
from lightning_dqn.learning.warning import (
    TargetsWarning,
    warn_of_flattened_images,
    warn_of_rounded_log_policies,
)
from lightning_dqn.networks.torsos import MLP, NatureCNN


class Picture(gym.Env[Any, Any]):
    """An image and nothing to learn."""

    action_space = gym.spaces.Discrete(2)

    def __init__(self, side: int = 40) -> None:
        self.observation_space = gym.spaces.Box(0, 255, (1, side, side), np.uint8)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        return self.observation_space.sample(), {}


def told(network: Any, side: int = 40) -> list[str]:
    agent = Agent(EnvironmentFactory(lambda: Picture(side)), network=network)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_flattened_images(SimpleNamespace(agent=agent))
    return [str(one.message) for one in caught]


@pytest.mark.parametrize("noisy", [False, True])
def test_a_perceptron_on_images_is_warned_of(noisy: bool) -> None:
    assert told(MLP(hidden=[4], noisy=noisy)) == [
        "the network takes images 1x40x40 as 1,600 numbers in a row; NatureCNN() "
        "(module/network=nature_cnn) begins with convolutions"
    ]


def test_convolutions_and_small_boards_bring_no_warning() -> None:
    assert told(NatureCNN(hidden=8)) == []
    assert told(MLP(hidden=[4]), side=10) == []


@pytest.mark.parametrize(
    "average",
    [
        WeightAverage(every_n_updates=1),
        EMATargetNetwork(tau=0.1, network="average_network", evaluate=True),
    ],
)
def test_a_copy_that_acts_and_that_nothing_moves_any_more_is_warned_of(
    make_trainer: Any, make_data: Any, make_module: Any, average: Any
) -> None:
    module, target = make_module(), EMATargetNetwork(tau=0.1)
    make_trainer(callbacks=[target, average]).fit(module, make_data())
    make_trainer(callbacks=[target, average]).fit(module, make_data())
    remedies = (
        r"nothing moves average_network, which acts in evaluation.*WeightAverage\(network="
        r"'average_network'\).*module\.agent\.evaluation_network = 'q_network'"
    )
    with pytest.warns(UserWarning, match=remedies):
        make_trainer(callbacks=[target]).fit(module, make_data())
    module.agent.evaluation_network = "q_network"
    make_trainer(callbacks=[target]).fit(module, make_data())


def test_a_copy_that_acts_in_training_and_that_nothing_moves_is_warned_of(
    make_trainer: Any, make_data: Any, make_module: Any
) -> None:
    module = make_module()
    module.agent.add_network("slow_network")
    module.agent.behaviour_network = "slow_network"
    with pytest.warns(UserWarning, match=r"nothing moves slow_network, which acts in training"):
        make_trainer(callbacks=[EMATargetNetwork(tau=0.1)]).fit(module, make_data())


@pytest.mark.parametrize(
    ("munchausen", "precision", "warns"),
    [
        (Munchausen(temperature=0.05), "bf16-mixed", True),
        (Munchausen(), "32-true", False),
        (None, "bf16-mixed", False),
    ],
)
def test_log_policies_of_rounded_values_are_warned_of(
    munchausen: Munchausen | None, precision: str, warns: bool
) -> None:
    module = SimpleNamespace(
        target=Target(double=False, munchausen=munchausen),
        trainer=SimpleNamespace(precision=precision),
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_rounded_log_policies(module)
    found = [str(one.message) for one in caught]
    assert len(found) == warns
    assert not warns or "temperature=0.05; learn by 32-true" in found[0]


def test_targets_are_judged_at_the_first_row_and_each_tenth_after_it_until_they_are_warned_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judged: list[int] = []
    verdicts = iter([None, None, "too narrow"])

    def judge_targets(*targets: Any) -> str | None:
        judged.append(module.row)
        return next(verdicts)

    monkeypatch.setattr("lightning_dqn.learning.warning.looking_on", nullcontext)
    head = SimpleNamespace(judges_targets=True, judge_targets=judge_targets)
    module = SimpleNamespace(
        agent=SimpleNamespace(head=head, q_network=lambda observation: None),
        minibatch=SimpleNamespace(observation=None, discount=None),
        bootstrap=lambda batch, output: (None, None),
    )
    warning = TargetsWarning()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for row in range(50):
            module.row = row
            warning(module)
    assert judged == [0, 10, 20]
    assert [str(one.message) for one in caught] == ["too narrow"]
