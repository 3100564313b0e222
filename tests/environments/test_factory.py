"""Environments by id, factory and instance: how they are made, described and refused."""

from __future__ import annotations

import builtins
import re
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

sys.path.insert(0, str(Path(__file__).parent))
from support.scripted_env import IdentityEnv, ScriptedEnv, episodes, scripted_vector, spec_of

from lightning_dqn.collecting.collector import Collector
from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.environments.gate import read_action_mask
from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.transitions import NO_ACTION

TAXI = next(id for id in ("Taxi-v4", "Taxi-v3") if id in gym.registry)


class Halved(gym.ObservationWrapper[Any, Any, Any]):
    """Observes the first half of a vector."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        space = env.observation_space
        half = space.shape[0] // 2
        self.observation_space = gym.spaces.Box(space.low[:half], space.high[:half])

    def observation(self, observation: np.ndarray) -> np.ndarray:
        return observation[: len(observation) // 2]


class WithSpaces(ScriptedEnv):
    """Has the spaces it is told to have."""

    def __init__(self, observation_space: gym.Space, action_space: gym.Space | None = None):
        super().__init__(episodes(3))
        self.observation_space = observation_space
        self.action_space = action_space or gym.spaces.Discrete(2)

    def _observation(self) -> Any:
        return self.observation_space.sample()


def made(factory: EnvironmentFactory, *args: Any, **kwargs: Any) -> gym.vector.VectorEnv:
    """Make the environment, see that it runs, and close it."""
    environment = factory.make(*args, **kwargs)
    try:
        environment.reset(seed=0)
        environment.step(environment.action_space.sample())
    finally:
        environment.close()
    return environment


# What is refused


def test_continuous_actions_are_refused_by_the_name_of_the_environment():
    with pytest.raises(ValueError, match=r"id=Pendulum-v1: .*Box.* needs Discrete actions"):
        _ = EnvironmentFactory("Pendulum-v1").spec


def test_several_actions_at_once_are_refused():
    space = gym.spaces.MultiDiscrete([2, 2])
    with pytest.raises(ValueError, match="needs Discrete actions"):
        _ = EnvironmentFactory(lambda: WithSpaces(gym.spaces.Box(0, 1), space)).spec


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.DISABLED])
def test_other_autoreset_modes_are_refused_with_the_remedy(mode):
    environment = SyncVectorEnv([lambda: ScriptedEnv(episodes(3))], autoreset_mode=mode)
    with pytest.raises(ValueError, match=r"replay needs AutoresetMode\.NEXT_STEP"):
        EnvironmentFactory(environment).make()


def test_an_environment_that_does_not_tell_its_autoreset_mode_is_refused():
    environment = scripted_vector([episodes(3)])
    environment.metadata = {}
    with pytest.raises(ValueError, match="its autoreset mode is None"):
        EnvironmentFactory(environment).make()


def test_an_unknown_id_is_named_on_one_line_with_the_closest_one():
    with pytest.raises(ValueError) as raised:
        EnvironmentFactory("CartPoll-v1").make()
    assert re.fullmatch(r"id=CartPoll-v1: .*CartPoll.* `CartPole`\?", str(raised.value))


def test_an_id_of_a_module_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"id=nowhere_at_all:Thing-v0: No module named"):
        EnvironmentFactory("nowhere_at_all:Thing-v0").make()


@pytest.mark.parametrize(
    ("id", "module", "extra"),
    [("MinAtar/Breakout-v1", "minatar", "minatar"), ("LunarLander-v3", "Box2D", "box2d")],
)
def test_a_missing_extra_is_named_with_the_command_that_brings_it(id, module, extra, monkeypatch):
    absent = [name for name in sys.modules if name.split(".")[0] == module]
    absent += [name for name in sys.modules if name.startswith("gymnasium.envs.box2d")]
    for name in absent:
        monkeypatch.delitem(sys.modules, name)
    real_import = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == module:
            raise ImportError(f"No module named {name!r}")
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    for name in [name for name in gym.registry if name.startswith("MinAtar/")]:
        monkeypatch.delitem(gym.registry, name)
    command = rf"pip install 'lightning-dqn\[{extra}\]'"
    with pytest.raises(ValueError, match=rf"id={id}: needs the extra '{extra}': {command}"):
        _ = EnvironmentFactory(id).spec


@pytest.mark.parametrize(
    "space",
    [
        gym.spaces.Dict({"a": gym.spaces.Box(0, 1, (2,))}),
        gym.spaces.Tuple([gym.spaces.Discrete(2)]),
        gym.spaces.Discrete(3, start=1),
        gym.spaces.MultiDiscrete([2, 3]),
    ],
)
def test_observations_that_no_network_takes_are_refused_with_the_remedy(space):
    with pytest.raises(ValueError, match=r"observation space is .*FlattenObservation"):
        _ = EnvironmentFactory(lambda: WithSpaces(space)).spec


def test_a_dict_is_taken_once_a_wrapper_flattens_it():
    parts = {"a": gym.spaces.Box(0, 1, (2,)), "b": gym.spaces.Discrete(3)}
    factory = EnvironmentFactory(
        lambda: WithSpaces(gym.spaces.Dict(parts)),
        wrappers=[gym.wrappers.FlattenObservation],
    )
    assert factory.spec.observation_shape == (5,)


@pytest.mark.parametrize(
    ("key", "value"), [("num_envs", 0), ("frame_stack", 0), ("vectorization", "threads")]
)
def test_a_setting_that_means_nothing_is_refused_by_name(key, value):
    with pytest.raises(ValueError, match=f"{key}="):
        EnvironmentFactory("CartPole-v1", **{key: value})


# What they look like to the learner


@pytest.mark.parametrize(
    ("id", "expected"),
    [
        ("CartPole-v1", EnvironmentSpec((4,), "float32", 2)),
        ("MountainCar-v0", EnvironmentSpec((2,), "float32", 3)),
        ("Acrobot-v1", EnvironmentSpec((6,), "float32", 3)),
        ("FrozenLake-v1", EnvironmentSpec((), "int64", 4, num_states=16)),
        (TAXI, EnvironmentSpec((), "int64", 6, num_states=500, has_action_mask=True)),
    ],
)
def test_known_environments_are_described_exactly(id, expected):
    assert EnvironmentFactory(id).spec == expected


def test_minatar_is_described_exactly():
    pytest.importorskip("minatar")
    factory = EnvironmentFactory("MinAtar/Breakout-v1", num_envs=2, frame_stack=2)
    assert factory.spec.observation_shape == (10, 10, 4)
    assert factory.spec.observation_dtype == "bool"
    assert factory.spec.stacked_shape == (2, 10, 10, 4)
    assert made(factory).num_envs == 2


@pytest.mark.parametrize("dtype", ["float32", "uint8", "bool", "int64"])
@pytest.mark.parametrize("masked", [False, True])
def test_types_and_masks_are_those_of_the_environment(dtype, masked):
    factory = EnvironmentFactory(
        lambda: ScriptedEnv(episodes(3), dtype=dtype, masked=masked), frame_stack=3
    )
    assert factory.spec == spec_of(dtype, masked=masked, frame_stack=3)


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int32, np.uint16])
def test_other_numbers_are_taken_as_float32(dtype):
    space = gym.spaces.Box(0, 1, (2, 3), dtype)
    spec = EnvironmentFactory(lambda: WithSpaces(space)).spec
    assert (spec.observation_shape, spec.observation_dtype) == ((2, 3), "float32")


def test_example_observations_look_as_the_network_gets_them():
    example = spec_of("uint8", frame_stack=4).example_observations(5)
    assert (tuple(example.shape), str(example.dtype)) == ((5, 4, 3), "torch.uint8")
    assert spec_of("int64").example_observations(5).shape == (5,)


# How they are made


@pytest.mark.parametrize(
    ("vectorization", "kind"),
    [
        ("native", CartPoleVectorEnv),
        ("auto", CartPoleVectorEnv),
        ("sync", SyncVectorEnv),
        ("async", AsyncVectorEnv),
    ],
)
def test_each_vectorization_is_what_it_says(vectorization, kind):
    environment = made(EnvironmentFactory("CartPole-v1", num_envs=3, vectorization=vectorization))
    assert type(environment) is kind
    assert environment.num_envs == 3


def test_auto_is_sync_where_there_is_no_native_entry_point():
    assert type(made(EnvironmentFactory("MountainCar-v0"))) is SyncVectorEnv


def test_native_is_refused_where_it_is_not_to_be_had():
    for factory in (
        EnvironmentFactory("MountainCar-v0", vectorization="native"),
        EnvironmentFactory("CartPole-v1", vectorization="native", wrappers=[Halved]),
    ):
        with pytest.raises(
            ValueError, match=r"vectorization=native: .* choose auto, sync or async"
        ):
            factory.make()


def test_the_number_of_environments_may_differ_for_evaluation():
    factory = EnvironmentFactory("CartPole-v1", num_envs=3)
    assert made(factory, 5).num_envs == 5
    assert made(factory).num_envs == 3


@pytest.mark.parametrize("vectorization", ["native", "sync"])
def test_arguments_reach_the_environment(vectorization):
    kwargs = {"sutton_barto_reward": True}
    factory = EnvironmentFactory(
        "CartPole-v1", num_envs=2, vectorization=vectorization, kwargs=kwargs
    )
    environment = factory.make()
    environment.reset(seed=0)
    assert environment.step(np.array([0, 1]))[1].tolist() == [0, 0]
    environment.close()


@pytest.mark.parametrize("vectorization", ["native", "sync"])
def test_the_time_limit_of_the_id_truncates(vectorization):
    factory = EnvironmentFactory("CartPole-v1", num_envs=1, vectorization=vectorization)
    environment = factory.make()
    observation, _ = environment.reset(seed=0)
    for step in range(1, 501):
        # Push towards where the pole and the cart lean: this balances for ever.
        lean = observation[0] @ np.array([0.1, 0.5, 10.0, 2.0])
        observation, _, terminated, truncated, _ = environment.step(np.array([int(lean > 0)]))
        assert not terminated[0]
        assert truncated[0] == (step == 500)
    environment.close()


def test_wrappers_stand_around_each_environment_innermost_first():
    factory = EnvironmentFactory("CartPole-v1", num_envs=2, wrappers=[Halved, Halved])
    assert factory.spec.observation_shape == (1,)
    assert type(made(factory)) is SyncVectorEnv


def test_an_environment_of_ones_own_by_a_function():
    factory = EnvironmentFactory(IdentityEnv, num_envs=4, kwargs={"num_states": 5})
    assert factory.spec == EnvironmentSpec((5,), "float32", 5)
    assert factory.name == "IdentityEnv"
    assert made(factory).num_envs == 4


def test_an_environment_of_ones_own_by_id_and_by_module():
    gym.register("Identity-v0", entry_point=IdentityEnv, kwargs={"one_hot": False})
    try:
        spec = EnvironmentSpec((), "int64", 3, num_states=3)
        assert EnvironmentFactory("Identity-v0").spec == spec
        assert EnvironmentFactory("support.scripted_env:Identity-v0").spec == spec
    finally:
        del gym.registry["Identity-v0"]


def test_a_module_named_before_the_id_is_imported(tmp_path, monkeypatch):
    (tmp_path / "my_own_games.py").write_text(
        "import gymnasium as gym\n"
        "from support.scripted_env import IdentityEnv\n"
        "gym.register('Mine-v0', entry_point=IdentityEnv)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    try:
        assert EnvironmentFactory("my_own_games:Mine-v0").spec.num_actions == 3
        assert made(EnvironmentFactory("my_own_games:Mine-v0", num_envs=2)).num_envs == 2
    finally:
        gym.registry.pop("Mine-v0", None)
        sys.modules.pop("my_own_games", None)


def test_a_vector_environment_is_used_as_it_is():
    environment = scripted_vector([episodes(3), episodes(4)], masked=True)
    factory = EnvironmentFactory(environment, frame_stack=2)
    assert factory.num_envs == 2
    assert factory.spec == spec_of(masked=True, frame_stack=2)
    assert factory.make() is environment


def test_a_closed_vector_environment_is_refused():
    environment = scripted_vector([episodes(3)] * 2)
    environment.close()
    with pytest.raises(ValueError, match="is closed"):
        EnvironmentFactory(environment).make()


def test_a_factory_stays_the_factory_it_is():
    factory = EnvironmentFactory("CartPole-v1", num_envs=3)
    assert EnvironmentFactory.of(factory) is factory
    assert EnvironmentFactory.of("CartPole-v1", num_envs=3).num_envs == 3


@pytest.mark.parametrize("one_hot", [True, False])
def test_identity_rewards_the_action_that_equals_the_state(one_hot):
    env = IdentityEnv(4, episode_length=3, one_hot=one_hot)
    observation, _ = env.reset(seed=0)
    for step in (1, 2, 3):
        state = int(np.argmax(observation)) if one_hot else int(observation)
        wrong = step == 2
        observation, reward, terminated, _, _ = env.step((state + wrong) % 4)
        assert reward == (0.0 if wrong else 1.0)
        assert terminated == (step == 3)


# Legal actions


def test_no_mask_is_no_mask():
    assert read_action_mask({}, 2, 3) is None


def test_an_environment_that_gave_no_mask_this_time_has_every_action_legal():
    info = {
        "action_mask": np.array([[1, 0, 0], [0, 0, 0]], np.int8),
        "_action_mask": np.array([True, False]),
    }
    mask = read_action_mask(info, 2, 3)
    assert mask is not None
    assert mask.dtype == bool
    assert mask.tolist() == [[True, False, False], [True, True, True]]


def test_masks_given_as_lists_are_read():
    masks = np.array([None, None], dtype=object)
    masks[0] = [1, 0, 1]
    mask = read_action_mask({"action_mask": masks}, 2, 3)
    assert mask is not None
    assert mask.tolist() == [[True, False, True], [True, True, True]]


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"shape \(2, 4\), not \(2, 3\)"):
        read_action_mask({"action_mask": np.ones((2, 4), bool)}, 2, 3)


def test_taxi_is_played_by_its_legal_actions_only():
    factory = EnvironmentFactory(TAXI, num_envs=2)
    environment = factory.make()
    rows = Collector(environment, factory.spec).collect(None, 500)
    environment.close()
    assert rows.action_mask is not None
    assert not rows.action_mask.all()
    legal = np.take_along_axis(rows.action_mask, np.maximum(rows.action, 0)[..., None], axis=2)
    assert legal[..., 0][rows.action != NO_ACTION].all()


def test_a_vector_env_trains_itself_and_is_evaluated_in_others_like_it() -> None:
    environment = gym.make_vec("CartPole-v1", 3, sutton_barto_reward=True)
    factory = EnvironmentFactory(environment)
    assert factory.make() is environment
    other = made(factory, 2)
    assert other is not environment
    assert other.num_envs == 2
    assert other.spec.kwargs["sutton_barto_reward"]


def test_a_vector_env_that_cannot_be_made_again_is_refused_with_the_remedy() -> None:
    environment = SyncVectorEnv([lambda: ScriptedEnv(episodes(3))])
    environment.spec = None
    with pytest.raises(ValueError, match=r"EvaluationConfig\(environment=\.\.\.\)"):
        EnvironmentFactory(environment).make(1)
