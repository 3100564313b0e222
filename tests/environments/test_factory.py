"""Environments by id, factory and instance: how they are made, described and refused."""

from __future__ import annotations

import functools
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from support.scripted_env import IdentityEnv, ScriptedEnv, episodes, scripted_vector, spec_of

from lightning_dqn.collecting.collector import Collector
from lightning_dqn.environments.atari import AtariVectorEnv
from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.environments.shapes import ShapedVectorEnv
from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.environments.workers import WorkerVectorEnv
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


def test_metadata_that_another_environment_wrote_into_are_not_believed():
    environment = scripted_vector([episodes(3)])
    environment.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
    assert EnvironmentFactory(environment).make() is environment


def test_an_environment_that_does_not_tell_its_autoreset_mode_is_refused():
    environment = scripted_vector([episodes(3)])
    environment.metadata = {}
    del environment.autoreset_mode
    with pytest.raises(ValueError, match="its autoreset mode is None"):
        EnvironmentFactory(environment).make()


def test_observations_that_no_network_takes_are_refused_by_the_name_of_the_environment():
    space = gym.spaces.Dict({"a": gym.spaces.Box(0, 1, (2,))})

    def mine() -> gym.Env[Any, Any]:
        return WithSpaces(space)

    with pytest.raises(ValueError, match=r"id=mine: its observation space is .*FlattenObserv"):
        _ = EnvironmentFactory(mine).spec


def test_a_dict_is_taken_once_a_wrapper_flattens_it():
    parts = {"a": gym.spaces.Box(0, 1, (2,)), "b": gym.spaces.Discrete(3)}
    factory = EnvironmentFactory(
        lambda: WithSpaces(gym.spaces.Dict(parts)),
        wrappers=[gym.wrappers.FlattenObservation],
    )
    assert factory.spec.observation_shape == (5,)


class WithMethod(gym.Wrapper):
    """Tells its legal actions by a method, and in ``info`` where it is asked to."""

    def __init__(self, environment: gym.Env, in_info: bool = False) -> None:
        super().__init__(environment)
        self.in_info = in_info

    def reset(self, **kwargs: Any) -> Any:
        observation, info = self.env.reset(**kwargs)
        return observation, {
            **info,
            **({"action_mask": self.action_masks()} if self.in_info else {}),
        }

    def action_masks(self) -> np.ndarray:
        return np.ones(2, bool)


@pytest.mark.parametrize("outer", [(), (gym.wrappers.FlattenObservation,)])
def test_a_method_that_tells_the_legal_actions_is_told_not_to_be_called(outer):
    factory = EnvironmentFactory("CartPole-v1", wrappers=[WithMethod, *outer])
    with pytest.warns(
        UserWarning, match=r"^id=CartPole-v1: its method action_masks\(\) isn't calle"
    ):
        assert not factory.spec.has_action_mask


def test_a_method_of_an_environment_whose_info_has_the_mask_is_fine():
    wrapper = functools.partial(WithMethod, in_info=True)
    assert EnvironmentFactory("CartPole-v1", wrappers=[wrapper]).spec.has_action_mask


def test_a_method_of_a_vector_environment_is_told_of_too():
    environment = gym.make_vec("CartPole-v1", 2, vectorization_mode="vector_entry_point")
    environment.unwrapped.valid_action_mask = lambda: np.ones((2, 2), bool)
    with pytest.warns(UserWarning, match=r"method valid_action_mask\(\) isn't called"):
        _ = EnvironmentFactory(environment).spec


def test_a_wrapper_may_be_given_by_its_dotted_name():
    name = "gymnasium.wrappers.FlattenObservation"
    factory = EnvironmentFactory("CartPole-v1", wrappers=[name])
    assert factory.wrappers == (gym.wrappers.FlattenObservation,)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["gymnasium.wrappers.Nope"], ".*Nope: there is nothing of that name to call"),
        (["gymnasium.wrappers.__name__"], ".*__name__: there is nothing of that name to call"),
        (["nowhere_at_all.Wrapper"], "nowhere_at_all.Wrapper: No module named"),
        (["evil-mod.Wrapper"], "evil-mod.Wrapper: expected a dotted name, as wrappers="),
        (["FlattenObservation"], "FlattenObservation: expected a dotted name, as wrappers="),
        ([3], "3: expected functions from Env to Env, as wrappers="),
        ("gymnasium.wrappers.FlattenObservation", "'gymnasium.*': expected a list, as wrappers="),
        ({"gymnasium.wrappers.FlattenObservation": 1}, "{'gym.*}: expected a list, as wrappers="),
    ],
)
def test_what_is_no_wrapper_is_refused_by_its_name(given, message):
    with pytest.raises(ValueError, match=f"^wrappers={message}"):
        EnvironmentFactory("CartPole-v1", wrappers=given)


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


# How they are made


@pytest.mark.parametrize(
    ("vectorization", "kind"),
    [
        ("native", CartPoleVectorEnv),
        ("auto", CartPoleVectorEnv),
        ("sync", ShapedVectorEnv),
        ("async", WorkerVectorEnv),
    ],
)
def test_each_vectorization_is_what_it_says(vectorization, kind):
    environment = made(EnvironmentFactory("CartPole-v1", num_envs=3, vectorization=vectorization))
    assert type(environment) is kind
    assert environment.num_envs == 3


def test_auto_is_sync_where_there_is_no_native_entry_point():
    assert type(made(EnvironmentFactory("MountainCar-v0"))) is ShapedVectorEnv


def test_auto_is_sync_where_the_native_form_gives_other_observations(monkeypatch):
    record = gym.spec("CartPole-v1")
    monkeypatch.setattr(record, "entry_point", "gymnasium.envs.classic_control:MountainCarEnv")
    factory = EnvironmentFactory("CartPole-v1", num_envs=2)
    assert type(made(factory)) is ShapedVectorEnv
    assert factory.spec.observation_shape == (2,)


def test_the_arcade_learning_environments_own_vector_form_is_not_taken():
    """It clips rewards, begins with no-ops and gives other pictures than the game."""
    pytest.importorskip("ale_py")
    factory = EnvironmentFactory("ALE/Pong-v5", num_envs=1)
    assert factory.spec.observation_shape == (210, 160, 3)
    assert type(made(factory)) is ShapedVectorEnv
    native = EnvironmentFactory("ALE/Pong-v5", vectorization="native")
    with pytest.raises(ValueError, match=r"vectorization=native: .* choose auto, sync or async"):
        native.make()
    assert type(made(EnvironmentFactory("Atari/Pong-v0", num_envs=1))) is AtariVectorEnv


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
    assert type(made(factory)) is ShapedVectorEnv


def test_an_environment_of_ones_own_by_a_function():
    factory = EnvironmentFactory(IdentityEnv, num_envs=4, kwargs={"num_states": 5})
    assert factory.spec == EnvironmentSpec((5,), "float32", 5)
    assert factory.name == "IdentityEnv"
    assert made(factory).num_envs == 4


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


# What is given in place of a way to make environments


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            gym.make("CartPole-v1"),
            r"id=CartPole-v1: one environment .* gymnasium.make\('CartPole-v1'",
        ),
        (gym.spec("CartPole-v1"), r"id=EnvSpec.*: expected an id, a function"),
        (None, "id=None: expected an id, a function"),
        (3, "id=3: expected an id, a function"),
        ({"id": "CartPole-v1"}, "a mapping needs a key _target_: lightning_dqn.EnvironmentFactory"),
    ],
)
def test_what_is_no_way_to_make_environments_is_refused(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EnvironmentFactory(given)


def test_a_function_that_makes_something_else_is_refused_by_what_it_gave() -> None:
    with pytest.raises(ValueError, match=r"id=dict: gave a dict, not a gymnasium\.Env"):
        _ = EnvironmentFactory(dict).spec


def test_a_function_that_gives_the_same_environment_each_time_is_refused() -> None:
    one = gym.make("CartPole-v1")
    factory = EnvironmentFactory(lambda: gym.Wrapper(one), num_envs=3)
    with pytest.raises(ValueError, match="gave the same environment each time"):
        factory.make()
    assert factory.make(1).num_envs == 1


@pytest.mark.parametrize("is_one_factory", [True, False])
def test_an_environment_that_is_in_use_is_not_given_again(is_one_factory: bool) -> None:
    only = IdentityEnv()
    training = EnvironmentFactory(lambda: gym.wrappers.TimeLimit(only, 9), num_envs=1)
    assert training.spec.num_actions, "what is made to be looked at is closed by then"
    evaluation = training if is_one_factory else EnvironmentFactory(training.id, num_envs=1)
    made = training.make()
    with pytest.raises(ValueError, match=r"in use already.* make a new one each time"):
        evaluation.make(1)
    made.close()
    evaluation.make(1)


def test_one_is_made_to_look_at_whatever_steps_the_others() -> None:
    factory = EnvironmentFactory("CartPole-v1", num_envs=4, vectorization="async", frame_stack=2)
    environment = factory.make_one("rgb_array")
    assert isinstance(environment, SyncVectorEnv)
    assert environment.num_envs == 1
    environment.reset(seed=0)
    [picture] = environment.render()  # type: ignore[misc]
    assert picture.shape == (400, 600, 3)
    environment.close()


def test_a_vector_env_cannot_be_made_again_to_render() -> None:
    environment = gym.make_vec("CartPole-v1", num_envs=2, vectorization_mode="sync")
    with pytest.raises(ValueError, match="others like this VectorEnv can't be made to render"):
        EnvironmentFactory(environment).make_one("rgb_array")
    environment.close()


def test_a_function_is_asked_for_a_render_mode_only_where_it_takes_one() -> None:
    def plain() -> gym.Env:
        return gym.make("CartPole-v1")

    def rendering(render_mode: str | None = None) -> gym.Env:
        return gym.make("CartPole-v1", render_mode=render_mode)

    with pytest.raises(ValueError, match=r"^id=plain: this function takes no render_mode"):
        EnvironmentFactory(plain).make_one("rgb_array")
    EnvironmentFactory(plain).make_one().close()
    made = EnvironmentFactory(rendering).make_one("rgb_array")
    assert made.get_attr("render_mode") == ("rgb_array",)
    made.close()
