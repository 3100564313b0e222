"""DQN: its loss by hand, what learns and what doesn't, what it refuses, what it saves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector

from lightning_dqn import DQN, EnvironmentSpec, LossOutput
from lightning_dqn.callbacks import EMATargetNetwork
from lightning_dqn.heads import ScalarHead
from lightning_dqn.report import NonFiniteError
from lightning_dqn.transitions import Transitions

Make = Callable[..., Any]
PAIR = EnvironmentSpec((2,), "float32", num_actions=2)


def linear_dqn(**arguments: Any) -> DQN:
    """Online values (s0, 2 s1), target values (3 s0, s1) of an observation (s0, s1)."""
    module = DQN(PAIR, network=nn.Linear(2, 2, bias=False), compile=False, **arguments)
    with torch.no_grad():
        module.q_network.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 2.0]]))
        module.target_network.weight.copy_(torch.tensor([[3.0, 0.0], [0.0, 1.0]]))
    return module


def two_transitions(**changed: Any) -> Transitions:
    """Predictions 1 and 2. Next online values (1, 2), (2, 0); next target values (3, 1), (6, 0)."""
    batch = Transitions(
        observation=torch.tensor([[1.0, 2.0], [2.0, 1.0]]),
        action=torch.tensor([0, 1]),
        reward=torch.tensor([1.0, -1.0]),
        discount=torch.tensor([0.5, 0.9]),
        next_observation=torch.tensor([[1.0, 1.0], [2.0, 0.0]]),
        next_action_mask=None,
    )
    return batch._replace(**changed)


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


def test_the_heads_error_is_the_one_minimised() -> None:
    output = linear_dqn(double=False, head=ScalarHead(error="huber")).loss(two_transitions())
    torch.testing.assert_close(output.loss, torch.tensor((1.0 + 1.9) / 2))


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
    module.add_network("average")
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


def test_an_overridden_loss_is_what_is_minimised(fit: Make, make_module: Make) -> None:
    class Indifferent(DQN):
        def loss(self, batch: Transitions) -> LossOutput:
            loss, td_error, q_value = super().loss(batch)
            return LossOutput(0 * loss, td_error, q_value)

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


def test_several_devices_are_refused(
    fit: Make, make_module: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pl.Trainer, "world_size", property(lambda self: 2))
    with pytest.raises(ValueError, match="devices=2: DQN learns on one device"):
        fit(make_module())


def test_an_unknown_way_to_compile_is_refused(fit: Make, make_module: Make) -> None:
    with pytest.raises(ValueError, match="compile='sometimes': choose auto, true or false"):
        fit(make_module(compile="sometimes"))


def test_a_network_of_ones_own_of_a_wrong_output_shape_is_refused_with_both_shapes() -> None:
    with pytest.raises(ValueError, match=r"network=Linear gives the shape \(2, 3\).*\(2, 2\)"):
        DQN(PAIR, network=nn.Linear(2, 3))


def test_a_network_of_ones_own_that_takes_other_observations_is_refused() -> None:
    with pytest.raises(ValueError, match=r"network=Linear doesn't take .* \(2, 2\)"):
        DQN(PAIR, network=nn.Linear(5, 2))


def test_dueling_of_a_network_of_ones_own_is_refused() -> None:
    with pytest.raises(ValueError, match="dueling=True"):
        DQN(PAIR, network=nn.Linear(2, 2), dueling=True)


def test_a_name_in_use_is_refused_for_another_copy() -> None:
    module = linear_dqn()
    with pytest.raises(ValueError, match="network='spec': the module has an attribute"):
        module.add_network("spec")


# --- acting


def test_q_values_and_actions_of_a_network_of_ones_own() -> None:
    module = linear_dqn()
    observation = torch.tensor([[1.0, 2.0], [5.0, 1.0]])
    assert module.q_values(observation).tolist() == [[1.0, 4.0], [5.0, 2.0]]
    assert module.act(observation.numpy()).tolist() == [1, 0]
    assert module.act(observation, torch.tensor([[True, False], [True, True]])).tolist() == [0, 0]


def test_a_copy_starts_as_the_online_network_and_asking_twice_gives_the_same() -> None:
    module = linear_dqn()
    copy = module.add_network("average")
    assert torch.equal(copy.weight, module.q_network.weight)
    assert copy.weight is not module.q_network.weight
    assert module.add_network("average") is copy


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
    gradients, statistics = module.loss_and_gradients(make_batch())
    assert [g.shape for g in gradients] == [p.shape for p in module.q_network.parameters()]
    assert statistics.shape == (4,)


def test_a_network_that_cannot_learn_is_refused() -> None:
    network = nn.Linear(4, 2).requires_grad_(False)
    with pytest.raises(ValueError, match="network=Linear has no parameter that could learn"):
        DQN("CartPole-v1", network=network)


def test_a_head_of_ones_own_must_be_handed_over_again() -> None:
    class OwnHead(ScalarHead):
        pass

    module = DQN("CartPole-v1", head=OwnHead())
    with pytest.raises(ValueError, match="head='OwnHead' is the name of a head of your own"):
        DQN(**module.hparams)
    assert isinstance(DQN(**{**module.hparams, "head": OwnHead()}).head, OwnHead)


# --- hyperparameters and checkpoints


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
    assert plain["network"] == [{"Linear": 8}, {"Linear": {"out_features": 4}}, "ReLU"]
    assert plain["head"] == {"ScalarHead": {"error": "huber", "huber_threshold": 1.0}}
    assert DQN(**plain).spec == module.spec


def test_a_checkpoint_alone_brings_the_module_back(save: Make, make_module: Make) -> None:
    module = make_module(
        dueling=True, double=False, head=ScalarHead(error="huber"), max_gradient_norm=3.0
    )
    path = save(module)
    assert torch.load(path, weights_only=True)["hyper_parameters"]
    loaded = DQN.load_from_checkpoint(path)
    assert loaded.hparams == module.hparams
    assert loaded.head == module.head
    observation = torch.randn(5, 4)
    assert torch.equal(loaded.q_values(observation), module.q_values(observation))
    assert torch.equal(loaded.target_network(observation), module.target_network(observation))
    assert (loaded.updates, loaded.env_steps) == (module.updates, module.env_steps) == (12, 40)


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
