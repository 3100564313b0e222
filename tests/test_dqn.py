"""DQN: its loss by hand, what learns and what doesn't, what it refuses, what it saves."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf
from support.six_transitions import six_transitions
from support.switches import switched_dqn
from support.two_transitions import two_transitions
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector

from lightning_dqn import (
    DQN,
    EnvironmentFactory,
    EnvironmentSpec,
    LossOutput,
    ReplayDataModule,
    dqn,
)
from lightning_dqn.callbacks import EMATargetNetwork
from lightning_dqn.learning.targets import Munchausen, Target
from lightning_dqn.learning.update import Update
from lightning_dqn.networks.heads.categorical import CategoricalHead
from lightning_dqn.networks.heads.head import Head
from lightning_dqn.networks.heads.quantile import (
    ImplicitQuantileHead,
    ProposedQuantileHead,
    QuantileHead,
)
from lightning_dqn.networks.heads.scalar import ScalarHead
from lightning_dqn.networks.torsos import MLP
from lightning_dqn.safekeeping.generations import previous_of
from lightning_dqn.system import devices
from lightning_dqn.system.faults import NonFiniteError
from lightning_dqn.system.ranks import ALONE, Ranks
from lightning_dqn.transitions import Transitions

Make = Callable[..., Any]
PAIR = EnvironmentSpec((2,), "float32", num_actions=2)


def linear_dqn(**arguments: Any) -> DQN:
    """Online values (s0, 2 s1), target values (3 s0, s1) of an observation (s0, s1)."""
    arguments = {"head": ScalarHead(error="mse"), **arguments}
    network = nn.Linear(2, 2, bias=False)
    module = switched_dqn(PAIR, network=network, compile=False, **arguments)
    with torch.no_grad():
        module.q_network.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 2.0]]))
        module.target_network.weight.copy_(torch.tensor([[3.0, 0.0], [0.0, 1.0]]))
    return module


def weights(module: DQN) -> Tensor:
    return parameters_to_vector(module.q_network.parameters()).detach().clone()


# --- the loss, by hand

ONLY_FIRST = torch.tensor([[True, False], [True, True]])
ONLY_SECOND = torch.tensor([[False, True], [True, True]])


@pytest.mark.parametrize(
    ("arguments", "changed", "td_error"),
    [
        # r + discount * max: 1 + 0.5 * 3 - 1 and -1 + 0.9 * 6 - 2
        ({"double": False}, {}, [1.5, 2.4]),
        # the online network prefers the second action, which the target values at 1
        ({"double": True}, {}, [0.5, 2.4]),
        ({"double": False}, {"next_action_mask": ONLY_SECOND}, [0.5, 2.4]),
        ({"double": True}, {"next_action_mask": ONLY_FIRST}, [1.5, 2.4]),
        # terminated: no bootstrap
        ({"double": True}, {"discount": torch.zeros(2)}, [0.0, -3.0]),
        # three steps of gamma = 0.5: 1 + 0.125 * 1 - 1 and -1 + 0.125 * 6 - 2
        ({"double": True}, {"discount": torch.full((2,), 0.5**3)}, [0.125, -2.25]),
        # the next state's value is the opponent's
        ({"double": True}, {"discount": torch.tensor([-0.5, -0.5])}, [-0.5, -6.0]),
    ],
)
def test_the_loss_by_hand(
    arguments: dict[str, Any], changed: dict[str, Tensor], td_error: list[float]
) -> None:
    output = linear_dqn(**arguments).loss(two_transitions(**changed))
    expected = torch.tensor(td_error)
    torch.testing.assert_close(output.td_error, expected)
    torch.testing.assert_close(output.loss, (expected**2 / 2).mean())
    assert output.q_value.tolist() == [1.0, 2.0]


def test_double_q_learning_is_the_default() -> None:
    batch = two_transitions()
    expected = linear_dqn(double=True).loss(batch).loss
    assert torch.equal(linear_dqn().loss(batch).loss, expected)


def test_the_heads_error_is_the_one_minimised_and_hubers_the_default() -> None:
    for head in (ScalarHead(error="huber"), None):
        output = linear_dqn(double=False, head=head).loss(two_transitions())
        torch.testing.assert_close(output.loss, torch.tensor((1.0 + 1.9) / 2))


def test_each_loss_is_multiplied_with_its_weight() -> None:
    output = linear_dqn(double=False).loss(two_transitions(weight=torch.tensor([0.5, 1.0])))
    # TD errors 1.5 and 2.4
    torch.testing.assert_close(output.loss, torch.tensor((0.5 * 1.125 + 2.88) / 2))
    torch.testing.assert_close(output.priority, torch.tensor([1.5, 2.4]))


# --- the loss, by a naive twin

TRIO = EnvironmentSpec((2,), "float32", num_actions=3)
TWINNED = [
    ScalarHead(error="mse"),
    ScalarHead(huber_threshold=0.5),
    CategoricalHead(num_atoms=5, v_min=-2.0, v_max=3.0),
    QuantileHead(num_quantiles=4),
    QuantileHead(num_quantiles=3, huber_threshold=0.0),
]


def twinned_dqn(head: Head, **arguments: Any) -> DQN:
    """Linear networks of 3 actions, the target network another than the online one."""
    torch.manual_seed(0)
    module = switched_dqn(TRIO, network=[], head=head, compile=False, **arguments)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_()
    return module


@pytest.mark.parametrize("head", TWINNED, ids=str)
@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize(
    "munchausen", [None, Munchausen(0.9, 0.5), Munchausen(0.5, 0.03, lower_bound=-0.1)], ids=str
)
def test_the_loss_is_that_of_a_naive_twin(
    head: Head, double: bool, munchausen: Munchausen | None
) -> None:
    module = twinned_dqn(head, double=double, munchausen=munchausen)
    weight = np.array([1.0, 0.25, 0.5, 1.0, 0.0, 0.75])
    for changed, weighted in (
        ({}, np.ones(6)),
        ({"weight": torch.tensor(weight, dtype=torch.float32)}, weight),
        ({"next_action_mask": None, "action_mask": None}, np.ones(6)),
    ):
        batch = six_transitions(**changed)
        output, twin = module.loss(batch), NaiveTwin(module, batch)
        loss, q_value, td_error = np.array([twin.sample(b) for b in range(6)]).T
        assert output.loss.item() == pytest.approx((weighted * loss).mean(), rel=1e-4)
        assert output.q_value.tolist() == pytest.approx(q_value.tolist(), rel=1e-4, abs=1e-5)
        assert output.td_error.tolist() == pytest.approx(td_error.tolist(), rel=1e-4, abs=1e-5)


class NaiveTwin:
    """The loss of a linear DQN, one sample, action and atom after the other."""

    def __init__(self, module: DQN, batch: Transitions) -> None:
        self.module, self.batch = module, batch
        self.columns = {
            name: None if column is None else column.numpy().astype(float)
            for name, column in batch._asdict().items()
        }

    def sample(self, b: int) -> tuple[float, float, float]:
        """Return loss, Q-value and TD error of sample b."""
        head, munchausen = self.module.agent.head, self.module.target.munchausen
        row = {name: None if c is None else c[b] for name, c in self.columns.items()}
        action, reward, discount = int(row["action"]), row["reward"], row["discount"]
        following = self.outcomes("target_network", row["next_observation"])
        chooser = "q_network" if self.module.target.double else "target_network"
        q_values = [
            sum(v * p for v, p in zip(*pair, strict=True))
            for pair in self.outcomes(chooser, row["next_observation"])
        ]
        legal = self.legal(row["next_action_mask"])
        if munchausen is None:
            best = max(legal, key=lambda a: q_values[a])
            policy = {a: float(a == best) for a in range(3)}
        else:
            policy = self.softmax(q_values, legal, munchausen.temperature)
            entropy = -sum(p * math.log(p) for p in policy.values() if p > 0)
            reward += discount * munchausen.temperature * entropy
            reward += self.bonus(row, action, munchausen)
        values, probabilities = self.mixture(following, policy)
        target = [reward + discount * value for value in values]
        own_values, own_probabilities = self.outcomes("q_network", row["observation"])[action]
        q_value = sum(v * p for v, p in zip(own_values, own_probabilities, strict=True))
        if isinstance(head, CategoricalHead):
            projected = self.project(target, probabilities)
            loss = sum(
                t * math.log(t / p)
                for t, p in zip(projected, own_probabilities, strict=True)
                if t > 0
            )
            mean = sum(v * t for v, t in zip(own_values, projected, strict=True))
        else:
            mean = sum(t * p for t, p in zip(target, probabilities, strict=True))
            loss = self.error(own_values, target)
        return loss, q_value, mean - q_value

    def outcomes(self, network: str, observation: Any) -> list[tuple[list[float], list[float]]]:
        """Return the values and their probabilities of each action."""
        head = self.module.agent.head
        weight, bias = (
            p.detach().numpy().astype(float)
            for p in self.module.agent.get_submodule(network).head.parameters()
        )
        size = len(bias) // 3
        outcomes = []
        for action in range(3):
            outputs = []
            for n in range(size):
                place = action * size + n
                inner = sum(weight[place][f] * observation[f] for f in range(2))
                outputs.append(inner + bias[place])
            if isinstance(head, CategoricalHead):
                atoms = np.linspace(head.v_min, head.v_max, size).tolist()
                powers = [math.exp(output) for output in outputs]
                outcomes.append((atoms, [power / sum(powers) for power in powers]))
            else:
                outcomes.append((outputs, [1 / size] * size))
        return outcomes

    def bonus(self, row: dict[str, Any], action: int, munchausen: Munchausen) -> float:
        """Return what Munchausen adds to the reward for the action taken."""
        q_values = [
            sum(v * p for v, p in zip(*pair, strict=True))
            for pair in self.outcomes("target_network", row["observation"])
        ]
        policy = self.softmax(q_values, self.legal(row["action_mask"]), munchausen.temperature)
        scaled = munchausen.temperature * math.log(max(policy[action], 1e-300))
        return munchausen.alpha * max(munchausen.lower_bound, scaled)

    def legal(self, mask: Any) -> list[int]:
        """Return the legal actions, all of them where there is none."""
        return [a for a in range(3) if mask is None or mask[a]] or [0, 1, 2]

    def softmax(
        self, q_values: list[float], legal: list[int], temperature: float
    ) -> dict[int, float]:
        """Return the policy of the legal actions."""
        highest = max(q_values[a] for a in legal)
        powers = {a: math.exp((q_values[a] - highest) / temperature) for a in legal}
        return {a: powers.get(a, 0.0) / sum(powers.values()) for a in range(3)}

    def mixture(
        self, outcomes: list[tuple[list[float], list[float]]], policy: dict[int, float]
    ) -> tuple[list[float], list[float]]:
        """Average probabilities of fixed values, values of fixed probabilities."""
        kept = 0 if isinstance(self.module.agent.head, CategoricalHead) else 1
        averaged = [
            sum(policy[a] * outcomes[a][1 - kept][n] for a in range(3))
            for n in range(len(outcomes[0][0]))
        ]
        return (averaged, outcomes[0][1]) if kept else (outcomes[0][0], averaged)

    def project(self, target: list[float], probabilities: list[float]) -> list[float]:
        """Share each value's probability out among the two atoms beside it."""
        head = self.module.agent.head
        assert isinstance(head, CategoricalHead)
        last = head.num_atoms - 1
        projected = [0.0] * head.num_atoms
        for value, probability in zip(target, probabilities, strict=True):
            cut = min(max(value, head.v_min), head.v_max)
            place = (cut - head.v_min) / (head.v_max - head.v_min) * last
            lower = min(int(place), last - 1)
            projected[lower] += probability * (lower + 1 - place)
            projected[lower + 1] += probability * (place - lower)
        return projected

    def error(self, values: list[float], target: list[float]) -> float:
        """Return the scalar head's error, or the mean over all pairs of quantiles."""
        head = self.module.agent.head
        if isinstance(head, ScalarHead):
            threshold = math.inf if head.error == "mse" else head.huber_threshold
            return self.huber(target[0] - values[0], threshold)
        assert isinstance(head, QuantileHead)
        total = 0.0
        for i, value in enumerate(values):
            for aim in target:
                delta, threshold = aim - value, head.huber_threshold
                size = self.huber(delta, threshold) / threshold if threshold else abs(delta)
                total += abs((i + 0.5) / len(values) - (delta < 0)) * size
        return total / len(values) / len(target)

    def huber(self, delta: float, threshold: float) -> float:
        """Return half the square up to the threshold, a line beyond."""
        if abs(delta) <= threshold:
            return delta**2 / 2
        return threshold * (abs(delta) - threshold / 2)


@pytest.mark.parametrize("double", [False, True])
def test_only_the_online_network_gets_gradients_and_only_by_its_prediction(double: bool) -> None:
    module = linear_dqn(double=double)
    output = module.loss(two_transitions())
    output.loss.backward()
    # d loss / d weight[a] = -td_error / 2 * observation
    first, second = (-error / 2 for error in output.td_error.tolist())
    expected = torch.tensor([[first * 1, first * 2], [second * 2, second * 1]])
    torch.testing.assert_close(module.q_network.weight.grad, expected)
    assert module.target_network.weight.grad is None
    assert not output.td_error.requires_grad
    assert not output.q_value.requires_grad


def test_the_optimizer_holds_the_online_network_alone() -> None:
    module = linear_dqn()
    module.agent.add_network("average")
    optimizer = module.configure_optimizers()
    assert [p for group in optimizer.param_groups for p in group["params"]] == [
        module.q_network.weight
    ]
    assert not any(p.requires_grad for n, p in module.named_parameters() if "q_network" not in n)


# --- learning under a Trainer


@pytest.fixture
def fit(make_trainer: Make, make_data: Make) -> Make:
    """A function that fits a module for 3 iterations of 4 updates."""

    def run(module: DQN, *callbacks: pl.Callback, data: Any = None, **arguments: Any) -> DQN:
        callbacks = (EMATargetNetwork(tau=0.1), *callbacks)
        make_trainer(callbacks=list(callbacks), **arguments).fit(module, data or make_data())
        return module

    return run


class Poisoned(DQN):
    """Meets a reward that isn't a number in its sixth update, inside the second iteration."""

    def loss(self, batch: Transitions) -> LossOutput:
        if self.updates == 5:
            batch = batch._replace(reward=batch.reward * torch.nan)
        return super().loss(batch)


@pytest.mark.parametrize(
    "optimizer", [torch.optim.SGD, torch.optim.Adam, torch.optim.RMSprop], ids=lambda o: o.__name__
)
def test_a_reward_that_is_no_number_stops_the_run_before_it_reaches_the_weights(
    fit: Make, make_module: Make, optimizer: Any
) -> None:
    module = make_module(kind=Poisoned, optimizer=lambda p: optimizer(p, lr=0.01))
    with pytest.raises(NonFiniteError, match=r"update 6 .*was not finite: loss nan"):
        fit(module)
    assert torch.isfinite(weights(module)).all()
    assert all(p.isfinite().all() for p in module.parameters())
    assert module.after_update == []


class PoisonedOnce(DQN):
    """Meets a gradient that is none in its second update, and nothing wrong afterwards."""

    def loss(self, batch: Transitions) -> LossOutput:
        output = super().loss(batch)
        if self.updates != 1:
            return output
        bias = list(self.q_network.parameters())[-1]
        return output._replace(loss=output.loss + (bias - bias.detach()).abs().sqrt().sum())


@pytest.mark.parametrize("reads_freely", [True, False], ids=["cpu", "accelerator"])
def test_a_gradient_that_is_not_finite_is_named_and_keeps_out_of_the_weights(
    fit: Make, make_module: Make, monkeypatch: pytest.MonkeyPatch, reads_freely: bool
) -> None:
    """An accelerator isn't looked at before a row is due, and here none is."""
    monkeypatch.setattr(devices, "is_read_freely", lambda _: reads_freely)
    module = make_module(kind=PoisonedOnce)
    name = list(dict(module.q_network.named_parameters()))[-1]
    with pytest.raises(
        NonFiniteError, match=rf"^update 2 \(.*it began in the gradient of {name}\."
    ):
        fit(module, log_every_n_steps=1_000)
    assert torch.isfinite(weights(module)).all()
    assert module.updates == (4 if reads_freely else 12)


def test_no_checkpoint_is_saved_after_an_update_that_was_not_finite(
    fit: Make, make_module: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(devices, "is_read_freely", lambda _: False)

    class Saves(pl.Callback):
        def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
            if trainer.global_step == 2:
                trainer.save_checkpoint(tmp_path / "newest.ckpt")

    module = make_module(kind=PoisonedOnce)
    with pytest.raises(NonFiniteError, match=r"^update 2 "):
        fit(module, Saves(), log_every_n_steps=1_000)
    assert list(tmp_path.iterdir()) == []
    assert module.updates == 8


def test_an_overridden_loss_is_what_is_minimised(fit: Make, make_module: Make) -> None:
    class Indifferent(DQN):
        def loss(self, batch: Transitions) -> LossOutput:
            output = super().loss(batch)
            return LossOutput(0 * output.loss, output.td_error, output.q_value)

    module = make_module(kind=Indifferent)
    before = weights(module)
    assert torch.equal(weights(fit(module)), before)
    module = make_module()
    assert not torch.equal(weights(fit(module)), before), "the usual loss does move the weights"


def test_gradients_are_clipped_to_the_largest_norm(fit: Make, make_module: Make) -> None:
    def step_length(max_gradient_norm: float | None) -> float:
        optimizer = lambda parameters: torch.optim.SGD(parameters, lr=1.0)  # noqa: E731
        module = make_module(max_gradient_norm=max_gradient_norm, optimizer=optimizer)
        before = weights(module)
        return (weights(fit(module)) - before).norm().item()

    assert step_length(1e-3) <= 12 * 1e-3 * 1.001, "12 updates"
    assert step_length(None) > 0.1


def test_a_learning_rate_schedule_steps_once_an_iteration(fit: Make, make_module: Make) -> None:
    rates = []

    class Rates(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *args: Any, **kwargs: Any) -> None:
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    def halve(optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
        return torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)

    optimizer = lambda parameters: torch.optim.Adam(parameters, lr=0.8, fused=True)  # noqa: E731
    fit(make_module(optimizer=optimizer, lr_scheduler=halve), Rates())
    assert rates == pytest.approx([0.4, 0.2, 0.1])


@pytest.mark.parametrize("overlap", [False, True])
def test_the_same_seeds_give_the_same_weights_bit_for_bit(
    fit: Make, make_module: Make, make_data: Make, overlap: bool
) -> None:
    def run(seed: int) -> Tensor:
        module = make_module(seed=seed)
        return weights(fit(module, data=make_data(overlap=overlap), max_epochs=2))

    first = run(0)
    torch.rand(7)  # nothing hangs on torch's global generator
    assert torch.equal(run(0), first)
    assert not torch.equal(run(1), first)


def test_the_seed_of_the_data_changes_the_run(
    fit: Make, make_module: Make, make_data: Make
) -> None:
    one, other = (weights(fit(make_module(), data=make_data(seed=seed))) for seed in (0, 1))
    assert not torch.equal(one, other)


def test_a_trainer_inside_a_trainer_disturbs_nothing(fit: Make, make_module: Make) -> None:
    class Another(pl.Callback):
        def on_train_batch_start(self, *args: Any) -> None:
            inner.append(weights(fit(make_module(seed=5))))

    alone = weights(fit(make_module()))
    inner: list[Tensor] = []
    assert torch.equal(weights(fit(make_module(), Another())), alone)
    assert len(inner) == 3
    assert all(torch.equal(one, inner[0]) for one in inner)


def test_two_trainers_in_turn_give_what_each_gives_alone(fit: Make, make_module: Make) -> None:
    alone = [weights(fit(make_module(seed=seed))) for seed in (0, 1)]
    modules = [make_module(seed=seed) for seed in (0, 1)]
    in_turn = [weights(fit(module)) for module in modules]
    assert all(torch.equal(a, b) for a, b in zip(alone, in_turn, strict=True))


def test_half_precision_learns_finite_float32_weights(fit: Make, make_module: Make) -> None:
    module = make_module()
    before = weights(module)
    fit(module, precision="bf16-mixed")
    assert weights(module).dtype == torch.float32
    assert weights(module).isfinite().all()
    assert not torch.equal(weights(module), before)


# --- what is refused


@pytest.mark.parametrize("precision", ["64-true", "bf16-true"])
def test_a_precision_that_does_not_learn_is_refused_with_those_that_do(
    fit: Make, make_module: Make, precision: str
) -> None:
    with pytest.raises(ValueError, match=f"precision={precision}: choose 32-true or bf16-mixed"):
        fit(make_module(), precision=precision)


def test_processes_that_nobody_asked_for_are_refused(
    fit: Make, make_module: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pl.Trainer, "world_size", property(lambda self: 2))
    with pytest.raises(ValueError, match=r"devices=1 .* the launcher started 2 processes, not 1"):
        fit(make_module())


def test_an_unknown_way_to_compile_is_refused(fit: Make, make_module: Make) -> None:
    with pytest.raises(ValueError, match="compile='sometimes': choose auto, true or false"):
        fit(make_module(compile="sometimes"))


@pytest.mark.filterwarnings("ignore:DQN:FutureWarning")
@pytest.mark.parametrize("option", ["dueling", "noisy", "layer_norm"])
def test_what_shapes_a_list_of_layers_is_refused_for_a_network_of_ones_own(option: str) -> None:
    reason = f"{option}=True shapes a network built from layers, not a module of your own"
    with pytest.raises(ValueError, match=reason):
        DQN(PAIR, network=nn.Linear(2, 2), **{option: True})


def test_settings_of_munchausen_are_checked_also_as_plain_values() -> None:
    with pytest.raises(ValueError, match="alpha=2: between 0 and 1"):
        DQN(PAIR, target={"munchausen": {"alpha": 2}})


def test_a_name_in_use_is_refused_for_another_copy() -> None:
    module = linear_dqn()
    with pytest.raises(ValueError, match="network='spec': the agent has an attribute"):
        module.agent.add_network("spec")


# --- acting


def test_q_values_and_actions_of_a_network_of_ones_own() -> None:
    module = linear_dqn()
    observation = torch.tensor([[1.0, 2.0], [5.0, 1.0]])
    assert module.q_values(observation).tolist() == [[1.0, 4.0], [5.0, 2.0]]
    assert module.act(observation.numpy()).tolist() == [1, 0]
    assert module.act(observation, torch.tensor([[True, False], [True, True]])).tolist() == [0, 0]


def test_a_copy_starts_as_the_online_network_and_asking_twice_gives_the_same() -> None:
    module = linear_dqn()
    copy = module.agent.add_network("average")
    assert torch.equal(copy.weight, module.q_network.weight)
    assert copy.weight is not module.q_network.weight
    assert module.agent.add_network("average") is copy


def test_the_behaviour_policy_keeps_the_weights_of_its_moment_until_asked_again() -> None:
    module = linear_dqn()
    observation = torch.tensor([[1.0, 2.0]])
    policy = module.behaviour_policy()
    nn.init.zeros_(module.q_network.weight)
    assert policy.q_values(observation).tolist() == [[1.0, 4.0]]
    assert module.behaviour_policy().q_values(observation).tolist() == [[0.0, 0.0]]


def test_acting_leaves_dropout_out_and_the_mode_as_it_was() -> None:
    module = DQN("CartPole-v1", network=[{"Linear": 8}, {"Dropout": 0.9}])
    observation = torch.randn(1, 4)
    assert torch.equal(module.q_values(observation), module.q_values(observation))
    policy = module.behaviour_policy()
    assert torch.equal(policy.q_values(observation), policy.q_values(observation))
    assert all(layer.training for layer in module.modules())


def test_gradients_can_be_asked_for_outside_a_fit(make_module: Make, make_batch: Make) -> None:
    module = make_module()
    gradients, statistics, priority, _ = module.update.step(make_batch())
    assert [g.shape for g in gradients] == [p.shape for p in module.q_network.parameters()]
    assert statistics.shape == (4,)
    assert priority.shape == (16,)


def test_what_is_told_of_an_update_is_that_of_its_loss() -> None:
    module, batch = linear_dqn(max_gradient_norm=None), two_transitions()
    gradients, statistics, priority, _ = module.update.step(batch)
    output = module.loss(batch)
    [expected] = torch.autograd.grad(output.loss, [module.q_network.weight])
    torch.testing.assert_close(gradients, [expected])
    # TD errors 0.5 and 2.4, Q-values 1 and 2
    told = [output.loss.item(), 1.5, 1.45, expected.norm().item()]
    torch.testing.assert_close(statistics, torch.tensor(told))
    torch.testing.assert_close(priority, torch.tensor([0.5, 2.4]))


def test_a_loss_of_ones_own_without_priorities_gives_the_size_of_its_td_errors() -> None:
    class Own(DQN):
        def loss(self, batch: Transitions) -> LossOutput:
            return super().loss(batch)._replace(priority=None)

    torch.manual_seed(0)
    module = Own(TRIO, network=[], head=QuantileHead(3), compile=False)
    batch = six_transitions()
    size = module.loss(batch).td_error.abs()
    torch.testing.assert_close(module.update.step(batch).priority, size)


def test_double_without_a_target_network_is_refused() -> None:
    with pytest.raises(ValueError, match=r"double=True: without a target network.*double=False"):
        DQN(PAIR, target={"slow_copy": False})


def test_a_head_of_ones_own_must_be_handed_over_again() -> None:
    class OwnHead(ScalarHead):
        pass

    module = DQN("CartPole-v1", head=OwnHead())
    with pytest.raises(ValueError, match="head='OwnHead' is the name of a head of your own"):
        DQN(**module.hparams)
    assert isinstance(DQN(**{**module.hparams, "head": OwnHead()}).agent.head, OwnHead)


# --- noise


def test_a_noisy_network_explores_and_its_evaluation_does_not() -> None:
    torch.manual_seed(0)
    module = switched_dqn("CartPole-v1", network=[{"Linear": 8}, "ReLU"], noisy=True, compile=False)
    observation = torch.randn(3, 4)
    policy = module.behaviour_policy()
    assert not torch.equal(policy.q_values(observation), policy.q_values(observation))
    assert torch.equal(module.q_values(observation), module.q_values(observation))
    assert torch.equal(module.greedy_value(observation), module.greedy_value(observation))
    assert all(layer.training for layer in module.modules())


@pytest.mark.parametrize(("rank", "user"), [(0, ("noise",)), (1, ("noise", 1))])
def test_each_rank_explores_by_noise_of_its_own(
    rank: int, user: tuple[Any, ...], fit: Make, make_module: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dqn, "Ranks", SimpleNamespace(of=lambda trainer: Ranks(2, rank)))
    prepare = Update.prepare

    def alone(update: Update, **how: Any) -> None:
        prepare(update, **{**how, "ranks": ALONE})

    monkeypatch.setattr(Update, "prepare", alone)
    assert fit(make_module(noisy=True)).agent.noise_user == user


def test_the_target_network_draws_its_noise_while_learning(fit: Make, make_module: Make) -> None:
    seen = []

    class Looks(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, module: Any, *args: Any) -> None:
            observation = torch.randn(3, 4)
            outputs = [module.target_network(observation) for _ in range(2)]
            seen.append((torch.equal(*outputs), module.target_network.training))

    fit(make_module(noisy=True), Looks())
    assert seen == [(False, False)] * 3


@pytest.mark.parametrize("head", [ScalarHead(), ImplicitQuantileHead(8)], ids=str)
def test_random_numbers_of_learning_hang_on_the_global_seed_alone(
    fit: Make, make_module: Make, head: Head
) -> None:
    def run(seed: int) -> Tensor:
        module = make_module(head=head, noisy=True)
        torch.manual_seed(seed)
        return weights(fit(module))

    first = run(3)
    assert torch.equal(run(3), first)
    assert not torch.equal(run(4), first)


# --- hyperparameters and checkpoints

EVERY_HEAD = [
    ScalarHead(error="mse", huber_threshold=2.0),
    CategoricalHead(num_atoms=5, v_min=-1.0, v_max=2.0),
    QuantileHead(num_quantiles=3, huber_threshold=0.5),
    ImplicitQuantileHead(4, 0.5, num_evaluation_quantiles=6, num_cosines=5),
    ProposedQuantileHead(4, 0.5, num_cosines=5, proposal_scale=0.1),
]


@pytest.fixture
def save(fit: Make, make_trainer: Make, make_data: Make, tmp_path: Path) -> Make:
    """A function that fits a module and returns the path of its checkpoint."""

    def run(module: DQN) -> Path:
        trainer = make_trainer(callbacks=[EMATargetNetwork(tau=0.1)])
        trainer.fit(module, make_data())
        trainer.save_checkpoint(tmp_path / "a.ckpt")
        return tmp_path / "a.ckpt"

    return run


def test_hyperparameters_are_plain_values_also_of_a_configuration() -> None:
    layers = OmegaConf.create([{"Linear": 8}, {"Linear": {"out_features": 4}}, "ReLU"])
    module = DQN(
        "CartPole-v1",
        network=layers,  # type: ignore[arg-type]
        head=ScalarHead(error="huber"),
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.1),
    )
    plain = json.loads(json.dumps(dict(module.hparams)))
    layers = [{"Linear": 8}, {"Linear": {"out_features": 4}}, "ReLU"]
    assert plain["network"]["layers"] == layers
    assert plain["head"] == {"ScalarHead": {"error": "huber", "huber_threshold": 1.0}}
    assert DQN(**plain).spec == module.spec


@pytest.mark.parametrize(
    "changed",
    [
        {"dueling": True},
        {"noisy": True, "noisy_sigma": 0.1},
        {"layer_norm": True},
        {"munchausen": Munchausen(0.5, 0.1, -0.5)},
        {"munchausen": {"alpha": 0.5}},
        {"double": False, "slow_copy": False},
        {"max_gradient_norm": None},
        *({"head": head} for head in EVERY_HEAD),
    ],
    ids=str,
)
def test_every_argument_comes_back_from_plain_hyperparameters(changed: dict[str, Any]) -> None:
    module = switched_dqn(PAIR, network=[{"Linear": 3}], compile=False, **changed)
    again = DQN(**json.loads(json.dumps(dict(module.hparams))))
    assert again.hparams == module.hparams
    assert again.agent.head == module.agent.head
    assert again.target == module.target
    assert again.update.max_gradient_norm == module.update.max_gradient_norm
    assert str(again.q_network) == str(module.q_network)
    again.load_state_dict(module.state_dict())


@pytest.mark.parametrize("head", EVERY_HEAD, ids=str)
def test_a_checkpoint_brings_every_head_back(save: Make, make_module: Make, head: Head) -> None:
    module = make_module(head=head, noisy=True, layer_norm=True, munchausen=Munchausen())
    loaded = DQN.load_from_checkpoint(save(module))
    assert loaded.hparams == module.hparams
    assert (loaded.agent.head, loaded.target.munchausen) == (head, Munchausen())
    observation = torch.randn(5, 4)
    assert torch.equal(loaded.q_values(observation), module.q_values(observation))


def test_a_checkpoint_alone_brings_the_module_back(save: Make, make_module: Make) -> None:
    module = make_module(
        dueling=True, double=False, head=ScalarHead(error="huber"), max_gradient_norm=3.0
    )
    path = save(module)
    assert torch.load(path, weights_only=True)["hyper_parameters"]
    loaded = DQN.load_from_checkpoint(path)
    assert loaded.hparams == module.hparams
    assert loaded.agent.head == module.agent.head
    observation = torch.randn(5, 4)
    assert torch.equal(loaded.q_values(observation), module.q_values(observation))
    assert torch.equal(loaded.target_network(observation), module.target_network(observation))
    assert (loaded.updates, loaded.env_steps) == (module.updates, module.env_steps) == (12, 40)


class SavesAllArguments(DQN):
    def __init__(self, environment: Any, scale: float = 1.0, **arguments: Any) -> None:
        super().__init__(environment, **arguments)
        self.scale = scale
        self.save_hyperparameters()


@pytest.mark.filterwarnings("ignore:Attribute .* is an instance of `nn.Module`:UserWarning")
@pytest.mark.parametrize("own", [False, True])
def test_a_subclass_that_saves_all_arguments_saves_plain_values(save: Make, own: bool) -> None:
    module = SavesAllArguments(
        EnvironmentFactory("CartPole-v1"),
        scale=3.0,
        network=nn.Linear(4, 2) if own else MLP(hidden=[8]),
        head=None if own else ScalarHead(error="mse"),
        target=Target(double=False),
        optimizer=partial(torch.optim.SGD, lr=0.1),
        compile=False,
    )
    given = {"network": nn.Linear(4, 2)} if own else {}
    loaded = SavesAllArguments.load_from_checkpoint(path := save(module), **given)
    assert (loaded.scale, loaded.updates, loaded.target) == (3.0, 12, module.target)
    assert loaded.agent.head == module.agent.head
    assert torch.equal(weights(loaded), weights(module))
    saved = torch.load(path, weights_only=True)["hyper_parameters"]
    assert saved["environment"] == module.agent.hyperparameters["environment"]
    assert "optimizer" not in saved


def test_a_subclass_keeps_its_own_plain_values_by_the_names_of_a_dqns_arguments(save: Make) -> None:
    class Named(DQN):
        def __init__(self, environment: str, network: str = "small") -> None:
            super().__init__(environment, network={"small": MLP(hidden=[4])}[network])
            self.save_hyperparameters()

    loaded = Named.load_from_checkpoint(save(Named("CartPole-v1")))
    assert loaded.hparams["network"] == "small"


def test_a_loaded_module_has_the_same_loss(save: Make, make_module: Make, make_batch: Make) -> None:
    module = make_module(double=False, head=ScalarHead(error="huber", huber_threshold=0.1))
    loaded = DQN.load_from_checkpoint(save(module))
    assert torch.equal(loaded.loss(make_batch()).loss, module.loss(make_batch()).loss)


def test_a_network_of_ones_own_is_handed_over_when_loading(save: Make) -> None:
    torch.manual_seed(0)
    module = DQN("CartPole-v1", network=nn.Linear(4, 2), compile=False)
    path = save(module)
    with pytest.raises(ValueError, match=r"load_from_checkpoint\(path, network=Linear\(\.\.\.\)\)"):
        DQN.load_from_checkpoint(path)
    loaded = DQN.load_from_checkpoint(path, network=nn.Linear(4, 2))
    assert torch.equal(weights(loaded), weights(module))


def test_a_checkpoint_of_another_module_is_refused(
    make_trainer: Make, make_module: Make, make_data: Make, save: Make
) -> None:
    path = save(make_module())
    checkpoint = torch.load(path, weights_only=True)
    del checkpoint["dqn"]
    torch.save(checkpoint, path)
    with pytest.raises(ValueError, match="holds no DQN"):
        DQN.load_from_checkpoint(path)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("flipped", "damaged: .*differs from its checksum"),
        ("cut", "damaged or another file"),
        ("bare", "holds no mapping"),
        ("foreign", "holds no DQN"),
        ("missing", "there is no such file"),
    ],
)
def test_a_checkpoint_that_is_not_whole_is_never_loaded(
    make_module: Make, save: Make, tmp_path: Path, kind: str, told: str
) -> None:
    module = make_module()
    path = save(module)
    content = bytearray(path.read_bytes())
    first = next(module.q_network.parameters()).detach().numpy().tobytes()
    if kind == "flipped":
        content[content.index(first)] ^= 1
    path.write_bytes(content[: 5000 if kind == "cut" else None])
    if kind in ("bare", "foreign"):
        torch.save(torch.zeros(3) if kind == "bare" else {"state_dict": {}}, path)
    if kind == "missing":
        path = tmp_path / "missing.ckpt"
    with pytest.raises(ValueError, match=rf"^{path}: .*{told}") as caught:
        DQN.load_from_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_where_a_checkpoint_is_damaged_the_one_before_it_is_loaded(
    make_module: Make, save: Make
) -> None:
    path = save(make_module())
    path.rename(previous_of(path))
    path.write_bytes(b"cut")
    with pytest.warns(UserWarning, match="the one before it.*is taken"):
        assert DQN.load_from_checkpoint(path).updates == 12


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"network": [{"Linear": 9}, "ReLU"]}, r"size mismatch.*network\.layers is .* 8.* 9"),
        ({"network": [{"Linear": 8}, "ReLU", {"Linear": 8}]}, r"Missing key.*network\.layers is"),
        ({"head": QuantileHead()}, r"head is {'ScalarHead'.* in the checkpoint, {'QuantileHead'"),
        ({"environment": "Acrobot-v1"}, r"environment\.observation_shape is \[4\] .*, \[6\] in"),
    ],
)
def test_a_checkpoint_of_another_network_changes_nothing(
    make_trainer: Make, make_module: Make, save: Make, other: dict[str, Any], told: str
) -> None:
    path = save(make_module())
    environment = other.get("environment", "CartPole-v1")
    network = other.get("network", [{"Linear": 8}, "ReLU"])
    module = DQN(environment, network=network, head=other.get("head"))
    before = weights(module)
    with pytest.raises(ValueError, match=f"of another network: .*{told}") as caught:
        make_trainer().test(module, ReplayDataModule(environment), ckpt_path=path)
    assert "\n" not in str(caught.value)
    assert (module.updates, module.env_steps) == (0, 0)
    assert torch.equal(weights(module), before)


def test_a_checkpoint_with_self_prediction_is_refused_where_the_module_has_none(
    make_trainer: Make, make_module: Make, make_data: Make, save: Make
) -> None:
    path = save(make_module())
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["state_dict"]["self_prediction.weight"] = torch.zeros(1)
    torch.save(checkpoint, path)
    module = make_module()
    with pytest.raises(ValueError, match=r"the module has no self_prediction\.weight"):
        make_trainer().test(module, make_data(), ckpt_path=path)
    assert module.updates == 0


@pytest.mark.parametrize(("v_max", "warns"), [(1.0, True), (100.0, False)])
def test_a_range_that_returns_outgrow_is_told_once(
    make_module: Make, make_data: Make, fit: Make, v_max: float, warns: bool
) -> None:
    module = make_module(head=CategoricalHead(v_min=0.0, v_max=v_max))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(module, log_every_n_steps=1)
    told = [str(w.message) for w in caught if "v_max" in str(w.message)]
    assert len(told) == int(warns)
    assert all("widen the range" in text for text in told)


def test_how_often_rows_are_logged_changes_nothing_that_is_learned(
    make_module: Make, fit: Make
) -> None:
    def weights(log_every_n_steps: int) -> Tensor:
        module = make_module(noisy=True, head=CategoricalHead(v_min=0.0))
        fit(module, log_every_n_steps=log_every_n_steps)
        return parameters_to_vector(module.q_network.parameters())

    assert torch.equal(weights(1), weights(1_000))


# --- logging


def test_how_often_rows_are_logged_does_not_change_what_is_learned(
    make_trainer: Make, make_data: Make, make_module: Make
) -> None:
    """A look at the targets of a C51, whose network has statistics that training moves."""

    def learned(period: int) -> dict[str, Tensor]:
        layers = [{"Linear": 8}, {"BatchNorm1d": 8}, "ReLU"]
        module = make_module(network=layers, head=CategoricalHead(5, 0.0, 9.0))
        trainer = make_trainer(callbacks=[EMATargetNetwork(tau=0.1)], log_every_n_steps=period)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            trainer.fit(module, make_data())
        return module.state_dict()

    often, seldom = learned(1), learned(1_000)
    assert all(torch.equal(often[name], tensor) for name, tensor in seldom.items())


def test_a_log_period_of_0_logs_nothing_and_learns(
    make_trainer: Make, make_data: Make, make_module: Make
) -> None:
    module = make_module()
    trainer = make_trainer(callbacks=[EMATargetNetwork(tau=0.1)], log_every_n_steps=0)
    trainer.fit(module, make_data())
    assert module.updates == 12
    assert "train/loss" not in trainer.callback_metrics
