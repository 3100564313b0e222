"""A Keras model as Q-network: learned, copied, saved and resumed as a module of torch's."""

from __future__ import annotations

import os
import re
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.scripted_env import IdentityEnv
from torch import nn
from torch._dynamo.testing import CompileCounter

from lightning_dqn import DQN, CollectionConfig, ReplayDataModule
from lightning_dqn.callbacks import EMATargetNetwork
from lightning_dqn.networks import operations
from lightning_dqn.networks.keras_network import KerasNetwork, is_keras

os.environ["KERAS_BACKEND"] = "torch"
keras = pytest.importorskip("keras")

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"  # Keras's variables, by NumPy 2.4
)
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "networks.md").read_text()
CARTPOLE = torch.zeros(2, 4)


def model_of(*inner: Any, actions: int = 2, inputs: int = 4) -> Any:
    """Return a small model for CartPole, with further layers inside."""
    layers = keras.layers
    return keras.Sequential(
        [layers.Input((inputs,)), layers.Dense(8, "relu"), *inner, layers.Dense(actions)]
    )


def normalised() -> Any:
    return model_of(keras.layers.BatchNormalization(), keras.layers.Dropout(0.5))


def fitted(make_trainer, make_data, model: Any, *, data: Any = None, **arguments: Any) -> Any:
    module = DQN("CartPole-v1", network=model, compile=False)
    callbacks = [EMATargetNetwork(tau=0.5), *arguments.pop("callbacks", [])]
    trainer = make_trainer(callbacks=callbacks, **arguments)
    trainer.fit(module, data or make_data())
    return module, trainer


def values(model: Any) -> list[np.ndarray]:
    return [np.array(variable) for variable in model.variables]


class Unregistered(keras.Model):
    """One that Keras itself can't copy, and that has no weights before its first call."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = keras.layers.Dense(8, "relu")
        self.dropout = keras.layers.Dropout(0.5)
        self.values = keras.layers.Dense(2)

    def call(self, observation: Any, training: bool | None = None) -> Any:
        return self.values(self.dropout(self.hidden(observation), training=training))


def functional() -> Any:
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(8, "relu")(inputs)
    return keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Concatenate()([hidden, inputs])))


@pytest.mark.parametrize(
    "make", [model_of, normalised, functional, Unregistered], ids=lambda make: make.__name__
)
def test_every_weight_learns_and_the_target_network_follows(make, make_trainer, make_data):
    model = make()
    module = DQN("CartPole-v1", network=model, compile=False)
    before = {id(v): np.array(v) for v in model.trainable_variables}
    target = [p.clone() for p in module.target_network.parameters()]
    make_trainer(callbacks=[EMATargetNetwork(tau=0.5)]).fit(module, make_data())
    assert len(list(module.q_network.parameters())) == len(before) >= 4
    for variable in model.trainable_variables:
        assert not np.array_equal(np.array(variable), before[id(variable)]), variable.path
    for old, new in zip(target, module.target_network.parameters(), strict=True):
        assert not torch.equal(old, new)


def test_what_is_learned_is_the_models_own_so_that_keras_saves_it(
    make_trainer, make_data, tmp_path
):
    model = model_of()
    module, _ = fitted(make_trainer, make_data, model)
    observation = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    expected = module.q_values(observation).numpy()
    assert np.allclose(model.predict(observation, verbose=0), expected, atol=1e-6)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert np.allclose(again.predict(observation, verbose=0), expected, atol=1e-6)


def test_names_are_those_of_any_model_built_alike():
    first, second = (KerasNetwork(normalised(), CARTPOLE) for _ in range(2))
    assert first._model.layers[0].name != second._model.layers[0].name
    assert (
        list(first.state_dict()) == list(second.state_dict()) == list(deepcopy(first).state_dict())
    )
    operations.copy(first, second)
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name]), name
    assert [name for name, _ in first.named_parameters()] == [
        *("0_kernel", "1_bias", "2_gamma", "3_beta", "7_kernel", "8_bias")
    ]


def test_models_that_differ_are_refused_by_name():
    first = KerasNetwork(model_of(), CARTPOLE)
    wider = KerasNetwork(model_of(actions=3), CARTPOLE)
    with pytest.raises(ValueError, match=r"'2_kernel' has the shapes \(8, 2\) and \(8, 3\)"):
        operations.copy(first, wider)
    with pytest.raises(ValueError, match="'2_kernel' is missing in one of them"):
        operations.copy(first, KerasNetwork(normalised(), CARTPOLE))


def test_a_copy_has_weights_of_its_own_and_computes_by_them():
    network = KerasNetwork(normalised(), CARTPOLE).eval()
    copy = deepcopy(network)
    observation = torch.randn(3, 4)
    assert torch.equal(copy(observation), network(observation))
    with torch.no_grad():
        for parameter in copy.parameters():
            parameter += 1
    changed = copy(observation)
    assert not torch.allclose(changed, network(observation))
    operations.copy(network, copy)
    assert torch.equal(network(observation), changed)
    assert torch.equal(deepcopy(copy)(observation), changed)


@pytest.mark.parametrize("is_copy", [False, True])
def test_gradients_reach_every_parameter(is_copy):
    network = KerasNetwork(normalised(), CARTPOLE)
    network = deepcopy(network) if is_copy else network
    loss = network(torch.randn(64, 4)).square().sum()
    names, parameters = zip(*network.named_parameters(), strict=True)
    for name, gradient in zip(names, torch.autograd.grad(loss, parameters), strict=True):
        assert gradient.abs().sum() > 0, name


@pytest.mark.parametrize("is_copy", [False, True])
def test_dropout_and_batch_normalization_follow_torchs_mode(is_copy):
    network = KerasNetwork(normalised(), CARTPOLE)
    network = deepcopy(network) if is_copy else network
    observation = 5 + torch.randn(64, 4)
    state = {name: buffer.clone() for name, buffer in network.named_buffers()}
    network.eval()
    assert torch.equal(network(observation), network(observation))
    assert all(torch.equal(state[name], buffer) for name, buffer in network.named_buffers())
    network.train()
    assert not torch.equal(network(observation), network(observation)), "dropout draws"
    for name, buffer in network.named_buffers():
        assert torch.equal(state[name], buffer) != ("moving" in name), name
    assert {name.split("_", 1)[1] for name in state} == {
        *("moving_mean", "moving_variance", "seed_generator_state")
    }


def test_a_copys_statistics_are_its_own():
    network = KerasNetwork(normalised(), CARTPOLE).train()
    copy = deepcopy(network)
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    copy(torch.randn(64, 4))
    assert all(torch.equal(before[name], buffer) for name, buffer in network.named_buffers())


def test_the_target_network_stays_in_evaluation_mode_and_takes_statistics_over(
    make_trainer, make_data
):
    seen: list[bool] = []

    class Look(EMATargetNetwork):
        def on_train_batch_end(self, trainer: Any, module: DQN, *_: Any) -> None:
            seen.append(module.target_network.training)

    module, _ = fitted(make_trainer, make_data, normalised(), callbacks=[Look(tau=0.5)])
    assert not any(seen)
    assert len(seen) == 3
    target = dict(module.target_network.named_buffers())
    for name, buffer in module.q_network.named_buffers():
        assert torch.equal(target[name], buffer), name


def test_a_frozen_layer_stays_as_it_is(make_trainer, make_data):
    model = model_of()
    model.layers[0].trainable = False
    before = values(model)
    module, _ = fitted(make_trainer, make_data, model)
    after = values(model)
    changed = [not np.array_equal(b, a) for b, a in zip(before, after, strict=True)]
    assert changed == [False, False, True, True]
    assert [name for name, _ in module.q_network.named_parameters()] == ["2_kernel", "3_bias"]


@pytest.mark.filterwarnings("ignore:this checkpoint was saved after its fit:UserWarning")
@pytest.mark.parametrize("make", [model_of, normalised])
def test_a_checkpoint_is_loaded_into_a_new_model_and_goes_on(
    make, make_trainer, make_data, tmp_path
):
    module, trainer = fitted(make_trainer, make_data, make())
    path = tmp_path / "keras.ckpt"
    trainer.save_checkpoint(path)
    model = make()
    loaded = DQN.load_from_checkpoint(path, network=model)
    observation = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    assert torch.equal(loaded.q_values(observation), module.q_values(observation))
    assert np.allclose(
        model.predict(observation, verbose=0), module.q_values(observation), atol=1e-6
    )
    saved, found = module.state_dict(), loaded.state_dict()
    assert list(saved) == list(found)
    assert all(torch.equal(saved[name], found[name]) for name in saved)

    resumed = DQN("CartPole-v1", network=make(), compile=False)
    again = make_trainer(callbacks=[EMATargetNetwork(tau=0.5)], max_epochs=2)
    again.fit(resumed, make_data(), ckpt_path=path)
    assert resumed.updates == 2 * module.updates
    assert not torch.equal(resumed.q_values(observation), module.q_values(observation))


def test_without_the_model_a_checkpoint_says_what_is_missing(make_trainer, make_data, tmp_path):
    _, trainer = fitted(make_trainer, make_data, model_of())
    trainer.save_checkpoint(tmp_path / "keras.ckpt")
    with pytest.raises(ValueError, match="network='Sequential' is the name of a module of your"):
        DQN.load_from_checkpoint(tmp_path / "keras.ckpt")
    layers = keras.layers
    wider = keras.Sequential([layers.Input((4,)), layers.Dense(9), layers.Dense(2)])
    with pytest.raises(RuntimeError, match=r"size mismatch for agent\.q_network\.0_kernel"):
        DQN.load_from_checkpoint(tmp_path / "keras.ckpt", network=wider)


def test_it_collects_in_a_thread_while_it_learns(make_trainer, make_data):
    data = make_data(overlap=True)
    module, _ = fitted(make_trainer, make_data, normalised(), data=data)
    assert module.updates == 12


def test_it_acts_by_the_copy_of_this_moment():
    module = DQN("CartPole-v1", network=model_of())
    observation = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    policy = module.behaviour_policy()
    assert np.array_equal(policy.act(observation), module.act(observation))
    with torch.no_grad():
        for parameter in module.q_network.parameters():
            parameter.neg_()
    assert torch.equal(
        module.behaviour_policy().q_values(observation), module.q_values(observation)
    )


def test_moved_or_cast_tensors_stay_the_models_own():
    network = KerasNetwork(normalised(), CARTPOLE).double()
    for name, variable in zip(network._names, network._model.variables, strict=True):
        tensor = network.get_parameter_or_buffer(name)
        assert tensor is variable.value, name
        assert tensor.dtype in (torch.float64, torch.int32, torch.int64), name


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # torch's, in compiling
@pytest.mark.parametrize(("make", "graphs"), [(model_of, 1), (normalised, 0)])
def test_a_model_is_compiled_unless_its_layers_have_a_state(make, graphs):
    """Else torch.compile would compile anew at each call, for minutes."""
    torch._dynamo.reset()
    counter = CompileCounter()
    network = KerasNetwork(make(), CARTPOLE)
    compiled = torch.compile(network, backend=counter)
    for _ in range(3):
        compiled(torch.randn(64, 4))
    assert counter.frame_count == graphs
    torch._dynamo.reset()


@pytest.mark.parametrize("make", [normalised, Unregistered])
def test_it_computes_where_its_weights_are_whatever_keras_prefers(make, monkeypatch):
    """As where there is an accelerator, which Keras takes by itself, and the fit is on the CPU."""
    model = make()
    core = pytest.importorskip("keras.src.backend.torch.core")
    monkeypatch.setattr(core, "DEFAULT_DEVICE", "meta")
    network = KerasNetwork(model, CARTPOLE)
    for one in (network, deepcopy(network)):
        assert one(torch.randn(3, 4)).device.type == "cpu"
        assert {tensor.device.type for tensor in one.state_dict().values()} == {"cpu"}


def test_it_learns_the_identity(make_trainer):
    """The easiest thing there is, in seconds."""
    keras.utils.set_random_seed(0)
    module = DQN(
        IdentityEnv,
        network=model_of(inputs=3, actions=3),
        optimizer=partial(torch.optim.Adam, lr=0.01),
        compile=False,
    )
    data = ReplayDataModule(
        IdentityEnv,
        batch_size=32,
        env_steps_per_epoch=1_000,
        collection=CollectionConfig(warmup_env_steps=100),
    )
    trainer = make_trainer(callbacks=[EMATargetNetwork(tau=0.1)])
    trainer.fit(module, data)
    assert module.act(np.eye(3, dtype=np.float32)).tolist() == [0, 1, 2]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_cartpole_is_learned(seed, make_trainer):
    """Random moves return 22 on average; 11,000 env steps are enough for a hundred."""
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    model = keras.Sequential(
        [layers.Input((4,)), layers.Dense(64, "relu"), layers.Dense(64, "relu"), layers.Dense(2)]
    )
    module, data = DQN("CartPole-v1", network=model), ReplayDataModule("CartPole-v1")
    trainer = make_trainer(callbacks=[EMATargetNetwork(tau=0.005)], max_epochs=2)
    trainer.fit(module, data)
    [row] = trainer.test(module, data, verbose=False)
    assert row["test/episode_return"] > 80


def test_another_backend_is_refused_in_one_line(monkeypatch):
    """As if Keras computed with JAX: its models are then no modules of torch's."""
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    model = type("Sequential", (), {"__module__": "keras.src.models.sequential"})()
    with pytest.raises(ValueError, match=r"^network=Sequential: Keras's backend is jax,") as error:
        DQN("CartPole-v1", network=model)
    told = str(error.value)
    assert told.endswith("set KERAS_BACKEND=torch before keras is imported")
    assert "\n" not in told


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: model_of(inputs=5), r"network=Sequential doesn't take observations of the shape"),
        (lambda: model_of(actions=3), r"network=Sequential gives the shape \(2, 3\) for 2"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(model, message):
    with pytest.raises(ValueError, match=message) as error:
        DQN("CartPole-v1", network=model())
    assert "\n" not in str(error.value)


def test_a_keras_layer_inside_a_module_is_refused():
    module = nn.Sequential(nn.Linear(4, 4), model_of())
    with pytest.raises(
        ValueError, match=r"its 1 is a Keras layer, .* hand the Keras model over by"
    ):
        DQN("CartPole-v1", network=module)


def test_others_are_no_keras_models():
    assert not is_keras(nn.Linear(1, 1))
    assert not is_keras([{"Linear": 3}])
    assert not is_keras("ReLU")


def test_the_pages_program_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    [program] = re.findall(r"```python\n(# keras_fit\.py.*?)```", PAGE, re.S)
    short = program.replace("max_epochs=10", "max_epochs=1, logger=False").replace(
        "ReplayDataModule(", "ReplayDataModule(env_steps_per_epoch=640, environment="
    )
    assert short != program
    exec(compile(short, "keras_fit.py", "exec"), {})
    assert {"cartpole.ckpt", "cartpole.keras"} <= {path.name for path in tmp_path.iterdir()}
