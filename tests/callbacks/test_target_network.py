"""EMATargetNetwork under a real Trainer, update by update."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector

from lightning_dqn import DQN, LinearSchedule, ReplayDataModule
from lightning_dqn.callbacks import EMATargetNetwork

Make = Callable[..., Any]


class Diary(pl.Callback):
    """Notes the counters and the weights of all networks after every update."""

    def __init__(self, *networks: str) -> None:
        self.networks = ("q_network", "target_network", *networks)
        self.weights: dict[str, list[Tensor]] = {name: [] for name in self.networks}
        self.updates: list[int] = []
        self.env_steps: list[int] = []
        self.initial: dict[str, Tensor] = {}

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.initial = {name: weights(pl_module, name) for name in self.networks}
        pl_module.after_update.append(self.note)  # type: ignore[union-attr, arg-type]

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        pl_module.after_update.remove(self.note)  # type: ignore[union-attr, arg-type]

    def note(self, module: DQN) -> None:
        self.updates.append(module.updates)
        self.env_steps.append(module.env_steps)
        for name in self.networks:
            self.weights[name].append(weights(module, name))

    def moves(self, network: str = "target_network") -> list[int]:
        """Return the updates after which the network's weights had changed."""
        before, changed = self.initial[network], []
        for update, now in zip(self.updates, self.weights[network], strict=True):
            if not torch.equal(before, now):
                changed.append(update)
            before = now
        return changed


def weights(module: nn.Module, network: str) -> Tensor:
    return parameters_to_vector(module.agent.get_submodule(network).parameters()).detach().clone()


@pytest.fixture
def fit(make_trainer: Make, make_data: Make, make_module: Make) -> Make:
    """A function that fits 12 updates in 3 iterations and returns the module and its diary."""

    def run(
        *callbacks: EMATargetNetwork, module: DQN | None = None, **arguments: Any
    ) -> tuple[DQN, Diary]:
        module = module or make_module()
        assert module is not None
        diary = Diary(*(c.network for c in callbacks if c.network != "target_network"))
        make_trainer(callbacks=[*callbacks, diary], **arguments).fit(module, make_data())
        return module, diary

    return run


# --- wrong arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "tau=None, decay=None: give exactly one"),
        ({"tau": 0.1, "decay": 0.9}, r"tau=0\.1, decay=0\.9: give exactly one"),
        ({"tau": LinearSchedule(1, 0, 5), "decay": 0.9}, "give exactly one"),
        ({"tau": 1.5}, r"tau=1\.5: must lie between 0 and 1"),
        ({"decay": -0.1}, r"decay=-0\.1: must lie between 0 and 1"),
        ({"tau": LinearSchedule(1, 3, 5)}, r"tau\.end=3: must lie between 0 and 1"),
        ({"decay": LinearSchedule(-1, 1, 5)}, r"decay\.start=-1: must lie between 0 and 1"),
        ({"tau": 1, "every_n_updates": 0}, "every_n_updates=0: at least 1"),
        ({"tau": 1, "every_n_updates": -2}, "every_n_updates=-2: at least 1"),
        ({"tau": 1, "every_n_env_steps": 0}, "every_n_env_steps=0: at least 1"),
        ({"tau": 1, "every_n_env_steps": -2}, "every_n_env_steps=-2: at least 1"),
        ({"tau": 1, "every_n_updates": 2, "every_n_env_steps": 2}, "give one of the two"),
    ],
)
def test_wrong_arguments_are_refused_by_name(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EMATargetNetwork(**arguments)


@pytest.mark.parametrize("name", ["tau", "decay"])
def test_a_value_of_ones_own_function_is_refused_where_it_is_used(fit: Make, name: str) -> None:
    given: dict[str, Any] = {name: lambda updates: 0.5 if updates < 6 else 1.5}
    with pytest.raises(ValueError, match=rf"^{name}=1\.5: must lie between 0 and 1$"):
        fit(EMATargetNetwork(**given))


@pytest.mark.parametrize("name", ["q_network", "spec", "forward"])
def test_a_name_that_the_module_uses_otherwise_is_refused(fit: Make, name: str) -> None:
    with pytest.raises(ValueError, match=f"network='{name}': the agent has an attribute"):
        fit(EMATargetNetwork(tau=1, network=name))


def test_another_module_than_a_dqn_is_refused(make_trainer: Make, make_data: Make) -> None:
    trainer = make_trainer(callbacks=[EMATargetNetwork(tau=1)])
    with pytest.raises(TypeError, match="needs a DQN, not a BoringModel"):
        trainer.fit(BoringModel(), make_data())


class BoringModel(pl.LightningModule):
    def training_step(self, *args: Any) -> None:
        pass

    def configure_optimizers(self) -> None:
        pass


# --- when it moves


@pytest.mark.parametrize("period", [1, 3, 4, 5, 12])
def test_tau_1_copies_at_multiples_of_the_period_also_inside_an_iteration(
    fit: Make, period: int
) -> None:
    _, diary = fit(EMATargetNetwork(tau=1, every_n_updates=period))
    assert diary.updates == list(range(1, 13))
    held = diary.initial["q_network"]
    for update, online, target in zip(
        diary.updates, diary.weights["q_network"], diary.weights["target_network"], strict=True
    ):
        held = online if update % period == 0 else held
        assert torch.equal(target, held), f"update {update}"


def test_a_period_longer_than_the_run_never_moves_it(fit: Make) -> None:
    _, diary = fit(EMATargetNetwork(tau=1, every_n_updates=13))
    assert diary.moves() == []


@pytest.mark.parametrize("period", [1, 3, 10, 16])
def test_a_period_in_env_steps_acts_after_the_first_update_past_each_multiple(
    fit: Make, period: int
) -> None:
    _, diary = fit(EMATargetNetwork(tau=1, every_n_env_steps=period))
    assert diary.env_steps[3::4] == [24, 32, 40], "16 of warm-up, then 8 an iteration"
    done, expected = 0, []
    for update, env_steps in zip(diary.updates, diary.env_steps, strict=True):
        if env_steps // period > done:
            expected.append(update)
            done = env_steps // period
    assert diary.moves() == expected


@pytest.mark.filterwarnings("ignore:this checkpoint was saved after its fit:UserWarning")
def test_a_continued_run_keeps_the_period(
    fit: Make, make_trainer: Make, make_data: Make, make_module: Make, tmp_path: Path
) -> None:
    trainer = make_trainer(callbacks=[EMATargetNetwork(tau=1, every_n_updates=5)])
    trainer.fit(make_module(), make_data())
    trainer.save_checkpoint(path := tmp_path / "a.ckpt")
    diary = Diary()
    callbacks = [EMATargetNetwork(tau=1, every_n_updates=5), diary]
    trainer = make_trainer(callbacks=callbacks, max_epochs=2)
    trainer.fit(make_module(seed=1), make_data(), ckpt_path=path)
    assert (diary.updates[0], diary.updates[-1]) == (13, 24)
    assert diary.moves() == [15, 20]


def test_a_loaded_module_in_a_new_trainer_keeps_the_period(
    fit: Make, make_trainer: Make, make_data: Make, make_module: Make, tmp_path: Path
) -> None:
    trainer = make_trainer(callbacks=[EMATargetNetwork(tau=1, every_n_updates=5)])
    trainer.fit(make_module(), make_data())
    trainer.save_checkpoint(path := tmp_path / "a.ckpt")
    loaded = DQN.load_from_checkpoint(path)
    _, diary = fit(EMATargetNetwork(tau=1, every_n_updates=5), module=loaded)
    assert diary.moves() == [15, 20]


def test_a_callback_used_again_on_a_new_module_begins_anew(fit: Make) -> None:
    callback = EMATargetNetwork(tau=1, every_n_updates=5)
    fit(callback)
    _, diary = fit(callback)
    assert diary.moves() == [5, 10]


# --- how it moves


@pytest.mark.parametrize(
    ("arguments", "decay_at"),
    [
        ({"tau": 0.1}, lambda update: 0.9),
        ({"decay": 0.9}, lambda update: 0.9),
        ({"tau": LinearSchedule(1.0, 0.0, 10)}, lambda update: min(update / 10, 1)),
        ({"decay": LinearSchedule(1.0, 0.0, 10)}, lambda update: max(1 - update / 10, 0)),
        ({"decay": lambda update: 1 / update}, lambda update: 1 / update),
    ],
)
def test_the_moving_average_equals_a_plain_loop(
    fit: Make, arguments: dict[str, Any], decay_at: Callable[[int], float]
) -> None:
    _, diary = fit(EMATargetNetwork(**arguments))
    expected = diary.initial["target_network"]
    for update, online, target in zip(
        diary.updates, diary.weights["q_network"], diary.weights["target_network"], strict=True
    ):
        decay = decay_at(update)
        expected = decay * expected + (1 - decay) * online
        torch.testing.assert_close(target, expected)


def test_two_callbacks_move_a_target_and_a_slow_average_side_by_side(fit: Make) -> None:
    _, diary = fit(
        EMATargetNetwork(tau=1, every_n_updates=4),
        EMATargetNetwork(decay=0.9, every_n_updates=2, network="average"),
    )
    assert diary.moves("target_network") == [4, 8, 12]
    expected = diary.initial["q_network"]
    for update, online, average in zip(
        diary.updates, diary.weights["q_network"], diary.weights["average"], strict=True
    ):
        expected = 0.9 * expected + 0.1 * online if update % 2 == 0 else expected
        torch.testing.assert_close(average, expected)


@pytest.mark.parametrize("policy", ["copy", "skip"])
def test_the_policy_for_buffers_is_obeyed(fit: Make, make_module: Make, policy: str) -> None:
    module = make_module(network=[{"Linear": 8}, {"BatchNorm1d": 8}, "ReLU"])
    fit(EMATargetNetwork(tau=0.5, buffers=policy), module=module)
    online, target = (
        dict(module.agent.get_submodule(name).named_buffers())
        for name in ("q_network", "target_network")
    )
    count = "torso.1.num_batches_tracked"
    assert online[count] > 0
    assert target[count] == (online[count] if policy == "copy" else 0)


# --- the average that acts


def test_an_evaluating_average_acts_and_values_instead_of_the_online_network(fit: Make) -> None:
    module, _ = fit(
        EMATargetNetwork(tau=1), EMATargetNetwork(tau=1e-3, network="average", evaluate=True)
    )
    for weight in module.q_network.parameters():
        nn.init.zeros_(weight)
    observation = torch.randn(5, 4)
    expected = module.agent.average(observation)
    torch.testing.assert_close(module.q_values(observation), expected)
    assert module.act(observation).tolist() == expected.argmax(dim=1).tolist()
    online = module.behaviour_policy().q_values(observation)
    assert not online.any(), "the online network explores all the same"


def test_a_collecting_copy_chooses_the_actions_of_training_while_the_fit_lasts(
    make_trainer: Make, make_data: Make, make_module: Make
) -> None:
    acted: list[bool] = []

    class Look(pl.Callback):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, *args: Any) -> None:
            observation = torch.randn(5, 4)
            found = pl_module.behaviour_policy().q_values(observation)
            by = [pl_module.agent.get_submodule(n) for n in ("target_network", "q_network")]
            slow, online = ((found - network(observation)).abs().max() < 1e-6 for network in by)
            acted.append(bool(slow and not online))

    module = make_module()
    trainer = make_trainer(callbacks=[EMATargetNetwork(tau=0.01, collect=True), Look()])
    trainer.fit(module, make_data())
    assert acted == [True] * 3
    observation = torch.randn(5, 4)
    expected = module.q_network(observation)
    torch.testing.assert_close(module.behaviour_policy().q_values(observation), expected)


def test_a_test_alone_leaves_it_to_the_online_network_to_collect(
    make_trainer: Make, make_data: Make, make_module: Make
) -> None:
    module = make_module()
    trainer = make_trainer(callbacks=[EMATargetNetwork(tau=0.01, collect=True)])
    trainer.test(module, make_data(), verbose=False)
    assert module.agent.behaviour_network == "q_network"


def test_without_an_evaluating_average_the_online_network_acts(fit: Make) -> None:
    module, _ = fit(EMATargetNetwork(tau=1e-3), EMATargetNetwork(tau=1e-3, network="average"))
    observation = torch.randn(5, 4)
    torch.testing.assert_close(module.q_values(observation), module.q_network(observation))


def test_a_checkpoint_carries_the_average_and_that_it_acts(
    make_trainer: Make, make_data: Make, make_module: Make, tmp_path: Path
) -> None:
    average = EMATargetNetwork(decay=0.9, network="average", evaluate=True)
    trainer = make_trainer(callbacks=[EMATargetNetwork(tau=0.01), average])
    module = make_module()
    trainer.fit(module, make_data())
    trainer.save_checkpoint(path := tmp_path / "a.ckpt")
    assert torch.load(path, weights_only=True)["state_dict"]
    loaded = DQN.load_from_checkpoint(path)
    for name in ("q_network", "target_network", "average"):
        assert torch.equal(weights(loaded, name), weights(module, name)), name
    observation = torch.randn(5, 4)
    assert torch.equal(loaded.q_values(observation), module.q_values(observation))
    assert not torch.equal(weights(loaded, "average"), weights(loaded, "q_network"))
    assert (loaded.updates, loaded.env_steps) == (12, 40)


# --- joining and leaving


def test_nothing_is_left_in_the_loop_after_a_fit(fit: Make) -> None:
    module, _ = fit(EMATargetNetwork(tau=1), EMATargetNetwork(tau=0.1, network="average"))
    assert module.after_update == []


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_nothing_is_left_in_the_loop_after_an_exception(
    make_trainer: Make, make_data: Make, make_module: Make, error: type[BaseException]
) -> None:
    class Fails(pl.Callback):
        def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:
            raise error("stop here")

    module = make_module()
    trainer = make_trainer(callbacks=[EMATargetNetwork(tau=1), Fails()])
    with pytest.raises((error, SystemExit)):
        trainer.fit(module, make_data())
    assert module.updates == 4, "it was at work"
    assert module.after_update == []


def test_a_second_fit_moves_the_target_once_an_update_not_twice(
    fit: Make, make_module: Make
) -> None:
    module = make_module()
    for _ in range(2):
        _, diary = fit(EMATargetNetwork(decay=0.5), module=module)
    torch.testing.assert_close(
        diary.weights["target_network"][0],
        0.5 * diary.initial["target_network"] + 0.5 * diary.weights["q_network"][0],
    )


@pytest.mark.parametrize("callbacks", [[], [EMATargetNetwork(tau=0.1, network="average")]])
def test_a_target_network_that_nothing_moves_is_warned_of(
    make_trainer: Make,
    make_data: Make,
    make_module: Make,
    callbacks: list[pl.Callback],
) -> None:
    with pytest.warns(UserWarning, match="nothing moves the target network: add EMATargetNetwork"):
        make_trainer(callbacks=callbacks).fit(make_module(), make_data())


def test_a_target_network_that_moves_brings_no_warning(fit: Make) -> None:
    with warnings.catch_warnings(record=True) as caught:
        fit(EMATargetNetwork(tau=0.1))
    assert not [w for w in caught if "target network" in str(w.message)]


@pytest.mark.filterwarnings("ignore:You called `self.log:UserWarning")
def test_evaluation_alone_needs_no_training(
    make_trainer: Make, make_module: Make, make_data: Make
) -> None:
    module, data = make_module(), make_data()
    trainer = make_trainer(
        callbacks=[EMATargetNetwork(tau=0.1, network="average", evaluate=True)],
        limit_val_batches=1,
    )
    trainer.validate(module, data, verbose=False)
    assert isinstance(data, ReplayDataModule)
    assert module.agent.evaluation_network == "average"
    assert module.after_update == []


@pytest.mark.filterwarnings("ignore:this checkpoint was saved after its fit:UserWarning")
def test_a_continued_run_moves_the_target_at_the_same_updates(
    make_module: Make, make_data: Make, make_trainer: Make, tmp_path: Path
) -> None:
    trainer = make_trainer(callbacks=[EMATargetNetwork(tau=1, every_n_updates=5)])
    module = make_module()
    trainer.fit(module, make_data())
    trainer.save_checkpoint(tmp_path / "run.ckpt")
    moved: list[int] = []

    class Counting(EMATargetNetwork):
        def __call__(self, module: DQN) -> None:
            before = [weight.clone() for weight in module.target_network.parameters()]
            super().__call__(module)
            after = module.target_network.parameters()
            if any(not torch.equal(a, b) for a, b in zip(before, after, strict=True)):
                moved.append(module.updates)

    continued = make_trainer(callbacks=[Counting(tau=1, every_n_updates=5)], max_epochs=2)
    continued.fit(make_module(), make_data(), ckpt_path=tmp_path / "run.ckpt")
    first = module.updates
    assert moved == [n for n in range(first + 1, 2 * first + 1) if n % 5 == 0]


def test_it_is_idle_where_the_module_has_no_target_network(
    make_trainer: Any, make_data: Any, make_module: Any
) -> None:
    module = make_module(slow_copy=False, double=False)
    make_trainer(callbacks=[EMATargetNetwork(tau=0.1)]).fit(module, make_data())
    assert module.updates > 0
    assert not hasattr(module, "target_network")
