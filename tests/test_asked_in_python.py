"""What is asked for in Python is done, or refused in words that name it; never taken in silence."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from gymnasium.wrappers import TransformReward
from support.board_runs import board_data, board_module
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_dqn import (
    DQN,
    CollectionConfig,
    EnvironmentFactory,
    EvaluationConfig,
    ReplayConfig,
    ReplayDataModule,
)
from lightning_dqn.callbacks import (
    EMATargetNetwork,
    PeriodicReset,
    PromotePastSelf,
    WeightAverage,
)
from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.formats.export import export
from lightning_dqn.games.opponents.past_selves import PastSelves
from lightning_dqn.learning.targets import Munchausen, Target
from lightning_dqn.networks import operations
from lightning_dqn.networks.heads.categorical import CategoricalHead
from lightning_dqn.networks.heads.head import Head, HeadLoss
from lightning_dqn.networks.heads.quantile import ImplicitQuantileHead, ProposedQuantileHead
from lightning_dqn.networks.heads.scalar import ScalarHead
from lightning_dqn.networks.torsos import MLP, Impala, MinAtarCNN, Network
from lightning_dqn.replay.samplers.prioritized import PrioritizedSampling
from lightning_dqn.schedules import RestartedSchedule

Make = Callable[..., Any]
TARGET = partial(EMATargetNetwork, tau=0.1)


# --- environments


def vector() -> Any:
    mode = gym.vector.AutoresetMode.NEXT_STEP
    vector_kwargs = {"autoreset_mode": mode}
    return gym.make_vec("CartPole-v1", 4, vectorization_mode="sync", vector_kwargs=vector_kwargs)


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ({"wrappers": [partial(TransformReward, func=abs)]}, "wrappers="),
        ({"image": {"channels": "first"}}, "image="),
        ({"kwargs": {"sutton_barto_reward": True}}, "kwargs="),
        ({"num_envs": 16}, "num_envs=16"),
        ({"vectorization": "async"}, "vectorization='async'"),
    ],
)
def test_a_vector_environment_takes_no_settings_of_how_it_is_made(
    setting: dict[str, Any], named: str
) -> None:
    with pytest.raises(ValueError, match=rf"^{named}.*a VectorEnv is stepped as it is, with 4"):
        EnvironmentFactory(vector(), **setting)
    assert EnvironmentFactory(vector(), num_envs=4, frame_stack=2).num_envs == 4


def images(*shape: int) -> EnvironmentSpec:
    return EnvironmentSpec(shape, "uint8", 3)


@pytest.mark.parametrize(
    ("network", "shape"),
    [(Impala(), (96, 96, 3)), (Impala(), (7, 7, 3)), (MinAtarCNN(), (3, 96, 96))],
)
def test_rows_of_an_image_are_not_taken_for_its_channels(
    network: Network, shape: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match=r"^network\[0\] \w+: the observations are images"):
        DQN(images(*shape), network=network)
    turned = (*shape[-1:], *shape[:-1]) if shape[-1] == 3 else (*shape[1:], *shape[:1])
    DQN(images(*turned), network=network)


# --- learning


def test_another_training_step_without_super_is_refused(
    make_trainer: Make, make_data: Make, make_module: Make
) -> None:
    class Own(DQN):
        def training_step(self, iteration: Any, batch_idx: int) -> Any:
            return None

    class Wrapping(DQN):
        def training_step(self, iteration: Any, batch_idx: int) -> Any:
            return super().training_step(iteration, batch_idx)

    with pytest.raises(ValueError, match=r"^Own\.training_step: .* call super\(\)\.training_step"):
        make_trainer(callbacks=[TARGET()]).fit(make_module(kind=Own), make_data())
    make_trainer(callbacks=[TARGET()]).fit(module := make_module(kind=Wrapping), make_data())
    assert module.updates == 12


@pytest.mark.parametrize("hook", ["setup", "teardown", "state_dict"])
def test_a_hook_of_other_data_without_super_is_refused(
    hook: str, make_trainer: Make, make_module: Make
) -> None:
    kind = type("Own", (ReplayDataModule,), {hook: lambda self, *arguments: None})
    data = kind("CartPole-v1", batch_size=4, env_steps_per_epoch=8, env_steps_per_iteration=8)
    with pytest.raises(ValueError, match=rf"^Own\.{hook}: .* call super\(\)\.{hook}"):
        make_trainer(callbacks=[TARGET()]).fit(make_module(), data)


@pytest.mark.parametrize("cast", ["double", "half", "bfloat16"])
def test_weights_of_another_type_are_refused(
    cast: str, make_trainer: Make, make_data: Make, make_module: Make
) -> None:
    module = getattr(make_module(), cast)()
    with pytest.raises(ValueError, match=r"^module: has \w+ weights, .* call module\.float\(\)"):
        make_trainer(callbacks=[TARGET()]).fit(module, make_data())


class Broadcasting(ScalarHead):
    """Its error is that of each transition against each other one's target."""

    def loss(self, prediction: Any, reward: Tensor, discount: Tensor, bootstrap: Any) -> HeadLoss:
        told = super().loss(prediction, reward, discount, bootstrap)
        return told._replace(loss=told.loss[:, None] - told.loss)


class Reduced(ScalarHead):
    """Its error is the mean already."""

    def loss(self, prediction: Any, reward: Tensor, discount: Tensor, bootstrap: Any) -> HeadLoss:
        told = super().loss(prediction, reward, discount, bootstrap)
        return told._replace(loss=told.loss.mean())


@pytest.mark.parametrize(("head", "shape"), [(Broadcasting(), r"\(4, 4\)"), (Reduced(), r"\(\)")])
def test_an_error_that_is_not_of_each_transition_is_refused(
    head: Head, shape: str, make_trainer: Make, make_data: Make, make_module: Make
) -> None:
    name = type(head).__name__
    with pytest.raises(ValueError, match=rf"^{name}: loss has the shape {shape}, expected \(4,\)"):
        make_trainer(callbacks=[TARGET()]).fit(make_module(head=head), make_data())


def test_weights_that_would_broadcast_are_refused(make_module: Make, make_batch: Make) -> None:
    batch = make_batch(size=16)
    with pytest.raises(ValueError, match=r"^sampler: weight has the shape \(16, 1\)"):
        make_module().loss(batch._replace(weight=torch.ones(16, 1)))
    make_module().loss(batch._replace(weight=torch.ones(16)))


@pytest.mark.parametrize("kind", [ImplicitQuantileHead, ProposedQuantileHead])
def test_quantiles_at_fractions_are_not_read_from_a_tensor(kind: type[Head]) -> None:
    network = nn.Sequential(nn.Linear(4, 64), nn.Unflatten(1, (2, 32)))
    with pytest.raises(ValueError, match=rf"{kind.__name__} can't read .*QuantileHead\(\)"):
        DQN("CartPole-v1", network=network, head=kind())


def test_a_head_with_weights_is_refused() -> None:
    @dataclass(frozen=True)
    class Scaled(ScalarHead, nn.Module):
        def __post_init__(self) -> None:
            nn.Module.__init__(self)
            object.__setattr__(self, "scale", None)
            self._parameters["scale"] = nn.Parameter(torch.ones(()))

    with pytest.raises(ValueError, match=r"^head=Scaled: has weights, which nothing would learn"):
        DQN("CartPole-v1", head=Scaled())


def test_a_target_network_that_begins_with_other_weights_is_warned_of(
    make_trainer: Make, make_data: Make, make_module: Make
) -> None:
    module = make_module()
    with torch.no_grad():
        for parameter in module.q_network.parameters():
            parameter.fill_(0.5)
    with pytest.warns(UserWarning, match="^the target network begins with other weights than"):
        make_trainer(callbacks=[TARGET()]).fit(module, make_data())
    make_trainer(callbacks=[TARGET()]).fit(module, make_data())  # it has learned by now
    imported = make_module()
    operations.copy(imported.q_network, module.q_network)
    operations.copy(imported.target_network, imported.q_network)
    make_trainer(callbacks=[TARGET()]).fit(imported, make_data())


# --- callbacks


@pytest.mark.parametrize(
    ("callback", "why"),
    [
        (partial(EMATargetNetwork, tau=1.0, every_n_updates=1000), "it acts after 1,000 updates"),
        (partial(PeriodicReset), "it acts after 20,000 updates"),
        (partial(WeightAverage, start=10**6), "it acts after 1,000,000 updates"),
    ],
)
def test_a_callback_that_never_acts_is_warned_of(
    callback: Any, why: str, make_trainer: Make, make_data: Make, make_module: Make
) -> None:
    callbacks = [callback()] if callback.func is EMATargetNetwork else [TARGET(), callback()]
    with pytest.warns(UserWarning, match=rf"has no effect: {why}, and the run has 12$"):
        make_trainer(callbacks=callbacks).fit(make_module(), make_data())


def test_an_average_of_an_earlier_fit_does_not_act_in_a_later_one(
    make_trainer: Make, make_data: Make, make_module: Make
) -> None:
    module = make_module()
    make_trainer(callbacks=[TARGET(), WeightAverage(every_n_updates=1)]).fit(module, make_data())
    assert module.agent.evaluation_network == "average_network"
    later = WeightAverage(every_n_updates=24)
    make_trainer(callbacks=[TARGET(), later], max_epochs=1).fit(module, make_data())
    assert module.agent.evaluation_network == "average_network"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "WeightAverage has no effect")
        never = WeightAverage(start=10**6)
        make_trainer(callbacks=[TARGET(), never]).fit(module, make_data())
    assert module.agent.evaluation_network == "q_network"


def test_a_callbacks_unknown_argument_is_named_with_it() -> None:
    with pytest.raises(TypeError, match=r"^WeightAverage: has no argument 'every_n_steps'; its "):
        WeightAverage(every_n_steps=3)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match=r"every_n_updates=2\.5: expected a whole number"):
        WeightAverage(every_n_updates=2.5)  # type: ignore[arg-type]


def test_a_copys_name_is_a_name() -> None:
    with pytest.raises(ValueError, match=r"^network='a\.b': a name"):
        DQN("CartPole-v1").agent.add_network("a.b")


@pytest.mark.parametrize("is_new_callback", [True, False])
def test_a_later_fit_goes_on_with_past_selves(
    is_new_callback: bool, make_board_trainer: Make
) -> None:
    module, pool = board_module(), PastSelves()
    first = PromotePastSelf(games=2, level=0.99)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = board_data(opponent=pool)
        make_board_trainer(callbacks=[first], max_epochs=4).fit(module, data)
        assert len(pool.policies) > 1
        before = list(pool.policies)
        if is_new_callback:
            again, later = PromotePastSelf(games=2, level=1e-9), pool
        else:
            again, later = first, PastSelves()
            data, again.level = board_data(opponent=later), 1e-9
        make_board_trainer(callbacks=[again], max_epochs=1).fit(module, data)
    assert [one.network for one in later.policies] == [one.network for one in before]  # type: ignore[attr-defined]


# --- evaluation and prediction


class Numbers(pl.LightningDataModule):
    """Gives tensors."""

    def val_dataloader(self) -> Any:
        return DataLoader(torch.zeros(4, 4))

    test_dataloader = val_dataloader


@pytest.mark.parametrize("way", ["validate", "test"])
@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_an_evaluation_of_something_else_is_refused(
    way: str, make_trainer: Make, make_module: Make
) -> None:
    evaluate = getattr(make_trainer(limit_val_batches=1.0), way)
    with pytest.raises(ValueError, match=r"^a batch of an evaluation is a Tensor: a DQN is"):
        evaluate(make_module(), datamodule=Numbers())


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_predictions_take_the_usual_loaders(
    dtype: Any, make_trainer: Make, make_module: Make
) -> None:
    module = make_module()
    observation = np.linspace(-1, 1, 24).reshape(6, 4).astype(np.float32).astype(dtype)
    expected = module.q_values(observation.astype(np.float32))
    for data in (TensorDataset(torch.as_tensor(observation)), list(observation)):
        found = make_trainer().predict(module, DataLoader(data, batch_size=4))  # type: ignore[arg-type]
        torch.testing.assert_close(torch.cat(found), expected)


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`, callbacks used")
def test_validations_of_checkpoints_stand_where_their_weights_do(
    make_trainer: Make, make_data: Make, make_module: Make, tmp_path: Path
) -> None:
    module, data = make_module(), make_data()
    saves = pl.callbacks.ModelCheckpoint(tmp_path, save_top_k=-1, filename="{epoch}")
    trainer = make_trainer(callbacks=[TARGET(), saves], enable_checkpointing=True, max_epochs=2)
    trainer.fit(module, data)
    at: list[float] = []
    for path in sorted(tmp_path.glob("*.ckpt")):
        told = make_trainer(limit_val_batches=1.0).validate(
            module, data, ckpt_path=path, weights_only=True, verbose=False
        )
        at.append(told[0]["time/env_steps"])
    assert at == [40.0, 64.0]


# --- settings


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"replay": {"capacity": 5}}, r"replay=\{'capacity': 5\}: expected a ReplayConfig"),
        ({"collection": ReplayConfig()}, "collection=.*has no make; expected a CollectionConfig"),
        ({"evaluation": CollectionConfig()}, "evaluation=.*expected a EvaluationConfig"),
    ],
)
def test_one_setting_is_not_taken_for_another(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        ReplayDataModule("CartPole-v1", **arguments)
    ReplayDataModule("CartPole-v1", evaluation=EvaluationConfig())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Target(double="false"), "double='false': expected True or False"),  # type: ignore[arg-type]
        (lambda: MLP(dueling="no"), "dueling='no': expected True or False"),  # type: ignore[arg-type]
        (lambda: CollectionConfig(overlap="no"), "overlap='no': expected True"),  # type: ignore[arg-type]
        (lambda: MLP(noisy_sigma=float("nan")), "noisy_sigma=nan"),
        (lambda: CategoricalHead(v_min=float("-inf")), "v_min=-inf: expected a finite number"),
        (lambda: CategoricalHead(num_atoms=51.5), r"num_atoms=51\.5: expected a whole number"),  # type: ignore[arg-type]
        (lambda: ImplicitQuantileHead(num_quantiles=True), "num_quantiles=True: expected a whole"),
        (lambda: ScalarHead(huber_threshold=float("nan")), "huber_threshold=nan"),
        (lambda: Munchausen(temperature=float("nan")), "temperature=nan"),
        (lambda: PrioritizedSampling(epsilon=float("nan")), "epsilon=nan"),
    ],
)
def test_values_that_mean_nothing_are_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("collection", "message"),
    [
        ({"epsilon": lambda count: 5.0}, "epsilon: the schedule gives 5.0 at"),
        ({"epsilon": lambda count: float("nan")}, "epsilon: the schedule gives nan at"),
        ({"temperature": lambda count: -1.0}, "temperature: the schedule gives -1.0 at"),
        (
            {"epsilon": RestartedSchedule(RestartedSchedule(lambda count: 5.0, 10), 20)},
            "epsilon: the schedule gives 5.0 at",
        ),
    ],
)
def test_a_schedule_of_ones_own_is_held_against_its_bounds(
    collection: dict[str, Any], message: str, make_trainer: Make, make_data: Make, make_module: Make
) -> None:
    data = make_data(collection=CollectionConfig(warmup_env_steps=16, **collection))
    with pytest.raises(ValueError, match=message):
        make_trainer(callbacks=[TARGET()]).fit(make_module(), data)


def test_a_sampler_holds_a_schedule_against_its_bounds_too(
    make_trainer: Make, make_data: Make, make_module: Make
) -> None:
    data = make_data(sampler=PrioritizedSampling(beta=lambda count: 7.0))
    with pytest.raises(ValueError, match=r"beta: the schedule gives 7\.0 at .*; expected 0 to 1"):
        make_trainer(callbacks=[TARGET()]).fit(make_module(), data)


def test_a_module_is_no_agent(make_module: Make, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^agent=DQN: expected an Agent, as module\.agent"):
        export(make_module(), tmp_path / "policy.npz", "npz")
