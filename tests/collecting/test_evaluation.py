"""Evaluation episodes: as many of each environment, each counted whole."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import VectorWrapper

sys.path.insert(0, str(Path(__file__).parent))
from support.faulty_env import FaultyEnv
from support.scripted_env import (
    EpisodeScript,
    IdentityEnv,
    ScriptedEnv,
    episodes,
    scripted_vector,
    spec_of,
)

from lightning_dqn import DQN, ReplayDataModule
from lightning_dqn.collecting.actor import Actor, Step
from lightning_dqn.collecting.evaluation import (
    STEPS_WITHOUT_A_LIMIT,
    EvaluationConfig,
    Evaluator,
    play_episodes,
)
from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.environments.worker_faults import WorkerRestarted
from lightning_dqn.environments.workers import WorkerVectorEnv
from lightning_dqn.transitions import Episode


class Endless(gym.Env[Any, Any]):
    """Each step earns 1; no episode ends."""

    observation_space = gym.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> Any:
        return np.zeros(2, np.float32), 1.0, False, False, {}


class ByItsStart(Endless):
    """Each step earns the number between 0 and 1 that the episode began with."""

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        found = super().reset(seed=seed)
        self.start = float(self.np_random.random())
        return found

    def step(self, action: Any) -> Any:
        return np.zeros(2, np.float32), self.start, False, False, {}


class Fixed:
    """Takes the same action always, or the first legal one, and counts its calls."""

    def __init__(self, action: int = 0) -> None:
        self.action = action
        self.observations: list[np.ndarray] = []

    def act(self, observation: np.ndarray, action_mask: np.ndarray | None = None) -> np.ndarray:
        self.observations.append(observation)
        if action_mask is not None:
            return action_mask.argmax(axis=1)
        return np.full(len(observation), self.action)


class KnowsTheState:
    """The best policy of ``IdentityEnv`` with one-hot observations."""

    def act(self, observation: np.ndarray, action_mask: np.ndarray | None = None) -> np.ndarray:
        return observation.argmax(axis=1)


def play(scripts: Any, episodes_per_env: int, *, spec: Any = None, **kwargs: Any) -> list[Episode]:
    spec = spec or spec_of()
    environment = scripted_vector(scripts, masked=spec.has_action_mask)
    policy = kwargs.pop("policy", Fixed())
    return list(
        play_episodes(environment, spec, policy, episodes_per_env=episodes_per_env, **kwargs)
    )


def identity_return(epsilon: float, seed: int = 0) -> list[float]:
    """Return the returns of the best policy disturbed by ``epsilon``."""
    environment = gym.vector.SyncVectorEnv([lambda: IdentityEnv(2, episode_length=50)] * 8)
    played = play_episodes(
        environment,
        EnvironmentSpec((2,), "float32", 2),
        KnowsTheState(),
        episodes_per_env=3,
        epsilon=epsilon,
        seed=seed,
    )
    return [episode.episode_return for episode in played]


def test_short_episodes_are_not_counted_more_often_than_long_ones():
    # The first 4 episodes to finish are all of the first environment: a mean return of 1.
    played = play([episodes(1), [EpisodeScript((1.0,) * 9)]], 2)
    assert sorted(played) == [Episode(1.0, 1)] * 2 + [Episode(9.0, 9)] * 2
    assert np.mean([e.episode_return for e in played]) == 5


def test_every_environment_plays_its_own_episodes_in_order():
    played = play([episodes(1, 2, 3), episodes(4, 5, 6)], 2)
    assert sorted(e.episode_length for e in played) == [1, 2, 4, 5]


def test_episodes_come_as_soon_as_it_is_their_turn():
    environment = scripted_vector([episodes(1), episodes(6), episodes(3)])
    policy = Fixed()
    stream = play_episodes(environment, spec_of(), policy, episodes_per_env=1)
    assert next(stream) == Episode(1.0, 1)
    assert len(policy.observations) == 1
    assert next(stream) == Episode(21.0, 6)
    assert next(stream) == Episode(6.0, 3)
    assert next(stream, None) is None
    assert len(policy.observations) == 6


@pytest.mark.parametrize("number", [2, 3, 5, 6])
def test_the_first_so_many_are_those_of_all_environments_in_turn(number):
    # By time, the first six are all of the first environment.
    played = play([episodes(1), episodes(20), episodes(7)], 3)[:number]
    assert [e.episode_length for e in played] == [1, 20, 7, 1, 20, 7][:number]


@pytest.mark.parametrize(("terminated", "truncated"), [(True, False), (False, True), (True, True)])
def test_an_episode_that_ends_in_any_way_is_counted_once(terminated, truncated):
    script = episodes(2, terminated=terminated, truncated=truncated)
    assert play([script], 3) == [Episode(3.0, 2)] * 3


def test_a_second_evaluation_begins_with_new_episodes():
    environment = scripted_vector([episodes(5), episodes(1)])
    for _ in range(2):  # the first leaves the second environment in the middle of an episode
        played = play_episodes(environment, spec_of(), Fixed(), episodes_per_env=1)
        assert sorted(played) == [Episode(1.0, 1), Episode(15.0, 5)]


@pytest.mark.parametrize("epsilon", [0.0, 0.7])
def test_only_legal_actions_are_taken(epsilon):
    # ScriptedEnv refuses all others.
    played = play([episodes(3), episodes(9)], 20, spec=spec_of(masked=True), epsilon=epsilon)
    assert len(played) == 40


def test_actions_are_shifted_to_where_the_space_starts():
    # A policy gives what the environment takes; one that knows of no start counts from 0.
    for spec, action in ((replace(spec_of(), action_start=7), 9), (spec_of(), 2)):
        environment = scripted_vector([episodes(3)], first_action=7)
        list(play_episodes(environment, spec, Fixed(action), episodes_per_env=1))
        assert environment.envs[0].actions == [2, 2, 2]


def test_stacks_begin_anew_with_each_episode():
    policy = Fixed()
    play([episodes(2)], 2, spec=spec_of(frame_stack=2), policy=policy)
    frames = [
        [tuple(f[1:]) for f in observation[0].tolist()] for observation in policy.observations
    ]
    assert frames == [
        [(0, 0), (0, 0)],
        [(0, 0), (0, 1)],
        [(0, 1), (0, 2)],  # the final observation: the environment ignores the action
        [(1, 0), (1, 0)],
        [(1, 0), (1, 1)],
    ]


def test_epsilon_is_the_share_of_random_actions():
    assert identity_return(0.0) == [50.0] * 24
    # Of two actions a random one is right half of the time.
    assert np.mean(identity_return(0.4)) == pytest.approx(40, abs=1.5)
    assert np.mean(identity_return(1.0)) == pytest.approx(25, abs=1.5)


def test_the_same_seed_plays_the_same_episodes_and_another_seed_others():
    assert identity_return(0.5, seed=3) == identity_return(0.5, seed=3)
    assert identity_return(0.5, seed=3) != identity_return(0.5, seed=4)


def test_the_seed_is_that_of_the_environments_too():
    environment = gym.make_vec("CartPole-v1", 4, vectorization_mode="vector_entry_point")
    spec = EnvironmentSpec((4,), "float32", 2)

    def lengths(seed: int) -> list[int]:
        played = play_episodes(environment, spec, Fixed(), episodes_per_env=3, seed=seed)
        return [episode.episode_length for episode in played]

    assert lengths(1) == lengths(1)
    assert lengths(1) != lengths(2)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_envs", 0),
        ("episodes_per_env", 0),
        ("test_episodes_per_env", 0),
        ("epsilon", 1.5),
        ("epsilon", -0.5),
        ("epsilon", "protocol"),
        ("seed", -1),
        ("max_episode_steps", 0),
        ("max_episode_steps", "never"),
    ],
)
def test_a_setting_that_means_nothing_is_refused_by_name(key, value):
    with pytest.raises(ValueError, match=f"^{key}="):
        EvaluationConfig(**{key: value})


# A limit on episodes


def test_an_episode_is_cut_at_the_limit_and_counted_as_it_is():
    played = play([episodes(5), episodes(2)], 1, max_episode_steps=3)
    assert played == [Episode(6.0, 3, is_cut=True), Episode(3.0, 2)]


@pytest.mark.parametrize("limit", [5, None])
def test_one_that_ends_at_the_limit_is_whole(limit):
    assert play([episodes(5)], 3, max_episode_steps=limit) == [Episode(15.0, 5)] * 3


def test_after_a_cut_every_environment_still_plays_as_many():
    # The second one is cut at once and waits; the first goes on, and then all are reset.
    environment = scripted_vector([episodes(2), episodes(50), episodes(3)])
    played = list(
        play_episodes(environment, spec_of(), Fixed(), episodes_per_env=3, max_episode_steps=2)
    )
    assert [(e.episode_length, e.is_cut) for e in played] == [(2, False), (2, True), (2, True)] * 3


def test_after_a_cut_all_begin_otherwise_than_before():
    environment = gym.vector.SyncVectorEnv([ByItsStart] * 2)
    spec = EnvironmentSpec((2,), "float32", 2)
    played = play_episodes(environment, spec, Fixed(), episodes_per_env=3, max_episode_steps=1)
    assert len({episode.episode_return for episode in played}) == 6


def test_an_episode_that_ends_after_its_cut_is_not_counted_again():
    # It goes on while the other plays: 4 of 5 steps, cut at 3, and a whole one of 1 step after it.
    slow, quick = episodes(4, 1), episodes(9)
    environment = scripted_vector([slow, quick])
    played = list(
        play_episodes(environment, spec_of(), Fixed(), episodes_per_env=2, max_episode_steps=3)
    )
    assert sum(e.episode_length for e in played[::2]) == 3 + 1


def test_cut_episodes_have_their_own_returns_too():
    tenfold = partial(gym.wrappers.TransformReward, func=lambda reward: 10 * reward)
    factory = EnvironmentFactory(partial(ScriptedEnv, episodes(9)), num_envs=1, wrappers=[tenfold])
    played = play_episodes(
        factory.make(), factory.spec, Fixed(), episodes_per_env=1, max_episode_steps=2
    )
    assert list(played) == [Episode(3.0, 2, wrapped_return=30.0, is_cut=True)]


@pytest.mark.parametrize(("epsilon", "expected"), [("auto", 0.05), (0.3, 0.3), (0.0, 0.0)])
def test_the_epsilon_is_the_environments_where_that_is_asked_for(epsilon, expected):
    environment = scripted_vector([episodes(3)])
    assert EvaluationConfig(epsilon="auto").epsilon_of(environment) == 0.0
    environment.metadata = {**environment.metadata, "evaluation_epsilon": 0.05}
    assert EvaluationConfig(epsilon=epsilon).epsilon_of(environment) == expected


@pytest.mark.parametrize("vectorization", ["sync", "async"])
@pytest.mark.parametrize(
    ("id", "limit"), [("CartPole-v1", None), ("CliffWalking-v1", STEPS_WITHOUT_A_LIMIT)]
)
def test_a_wrapper_hides_no_limit(id, limit, vectorization):
    make = gym.vector.AsyncVectorEnv if vectorization == "async" else gym.vector.SyncVectorEnv
    environment = make([partial(gym.make, id)])
    around = gym.wrappers.vector.RecordEpisodeStatistics(environment)
    assert EvaluationConfig().limit_of(around) == limit
    around.close()


@pytest.mark.parametrize("vectorization", ["sync", "async", "auto"])
@pytest.mark.parametrize(
    ("id", "limit"),
    [
        ("CartPole-v1", None),
        ("CliffWalking-v1", STEPS_WITHOUT_A_LIMIT),
        (Endless, STEPS_WITHOUT_A_LIMIT),
    ],
)
def test_the_limit_is_the_environments_where_it_has_one(id, limit, vectorization):
    environment = EnvironmentFactory(id, num_envs=1, vectorization=vectorization).make()
    assert EvaluationConfig().limit_of(environment) == limit
    assert EvaluationConfig(max_episode_steps=7).limit_of(environment) == 7
    assert EvaluationConfig(max_episode_steps=None).limit_of(environment) is None
    environment.close()


def test_a_policy_that_stands_still_ends_with_a_warning(make_trainer, make_module):
    data = ReplayDataModule(
        Endless, evaluation=EvaluationConfig(num_envs=3, episodes_per_env=2, max_episode_steps=20)
    )
    trainer = make_trainer(limit_val_batches=1.0)
    with pytest.warns(UserWarning, match="6 of 6 evaluation episodes were cut after 20 env steps"):
        [row] = trainer.validate(DQN(Endless, network=["Flatten"]), data, verbose=False)
    assert row["eval/episodes_cut"] == row["eval/episodes"] == 6
    assert row["eval/episode_return"] == 20


@pytest.mark.parametrize("number", [1, 3, 4])
def test_lightnings_limit_keeps_the_first_in_the_fixed_order(make_trainer, number):
    lengths = iter([1, 2, 10, 30])  # the first is made to be described
    factory = EnvironmentFactory(lambda: ScriptedEnv(episodes(next(lengths, 30))))
    data = ReplayDataModule(factory, evaluation=EvaluationConfig(num_envs=3, episodes_per_env=2))
    trainer = make_trainer(limit_val_batches=number)
    [row] = trainer.validate(DQN(factory, network=["Flatten"]), data, verbose=False)
    assert row["eval/episodes"] == number
    assert row["eval/episode_length"] == np.mean([2, 10, 30, 2][:number])


@pytest.mark.parametrize("as_factory", [False, True])
def test_a_vector_env_to_evaluate_in_is_played_in_itself_and_left_open(make_trainer, as_factory):
    given: Any = gym.make_vec("CartPole-v1", 3, vectorization_mode="sync")
    around = gym.wrappers.vector.TransformReward(given, lambda reward: 10 * reward)
    config = EvaluationConfig(
        num_envs=3, environment=EnvironmentFactory(around) if as_factory else around
    )
    data = ReplayDataModule("CartPole-v1", evaluation=config)
    [row] = make_trainer(limit_val_batches=1.0).validate(DQN("CartPole-v1"), data, verbose=False)
    assert row["eval/episode_return"] == pytest.approx(10 * row["eval/episode_length"])
    assert not around.closed
    few = replace(config, num_envs=2)
    with pytest.raises(ValueError, match="num_envs=2: the VectorEnv to evaluate in has 3"):
        list(
            Evaluator(EnvironmentFactory("CartPole-v1"), few).play(
                DQN("CartPole-v1"), seed=0, episodes_per_env=1, observers=()
            )
        )
    around.close()


# What can't be meant


@pytest.mark.parametrize("reward", [np.nan, np.inf, -np.inf])
def test_rewards_that_are_not_finite_are_refused(reward):
    scripts = [episodes(1), [EpisodeScript((1.0, reward, 2.0))]]
    with pytest.raises(ValueError, match=r"environment 1 gave a non-finite reward .* at step 2 of"):
        play(scripts, 1)


@pytest.mark.parametrize("at", [0, 1, 2])
def test_observations_that_are_not_finite_are_refused_first_and_last_ones_too(at):
    class Broken(IdentityEnv):
        def reset(self, **kwargs: Any) -> Any:
            self.steps = -1
            return self._broken(super().reset(**kwargs)[0]), {}

        def step(self, action: Any) -> Any:
            observation, *others = super().step(action)
            return self._broken(observation), *others

        def _broken(self, observation: Any) -> Any:
            self.steps += 1
            return observation * np.nan if self.steps == at else observation

    environment = gym.vector.SyncVectorEnv([lambda: Broken(2, episode_length=2)])
    spec = EnvironmentSpec((2,), "float32", 2)
    with pytest.raises(
        ValueError, match=r"environment 0 gave a non-finite observation .*evaluation"
    ):
        list(play_episodes(environment, spec, Fixed(), episodes_per_env=1))


def test_observations_outside_their_space_are_told_once():
    class Outside(IdentityEnv):
        def step(self, action: Any) -> Any:
            observation, *others = super().step(action)
            return observation + 7, *others

    environment = gym.vector.SyncVectorEnv([lambda: Outside(2, episode_length=5)])
    spec = EnvironmentSpec((2,), "float32", 2)
    with pytest.warns(UserWarning, match="outside the space that the environment declares") as told:
        list(play_episodes(environment, spec, KnowsTheState(), episodes_per_env=4))
    assert len(told) == 1


# Workers


def test_the_limit_of_workers_is_read_though_their_wrappers_can_not_be_pickled():
    paid = partial(gym.wrappers.TransformReward, func=lambda reward: reward - 0.01)
    for id, limit in (("CartPole-v1", None), (Endless, STEPS_WITHOUT_A_LIMIT)):
        factory = EnvironmentFactory(id, vectorization="async", wrappers=[paid])
        workers = factory.make(1)
        assert EvaluationConfig().limit_of(workers) == limit
        workers.close()


@pytest.mark.parametrize("limit", [None, 2])
@pytest.mark.parametrize("at", [1, 2, 4])
def test_an_episode_that_a_restart_cut_is_not_counted_but_another_is_played(tmp_path, at, limit):
    faulty = partial(FaultyEnv, fault="exit", at=at, once=str(tmp_path / "once"))
    workers = WorkerVectorEnv([FaultyEnv, faulty], name="Faulty")
    spec = EnvironmentFactory(FaultyEnv).spec
    played = play_episodes(workers, spec, Fixed(), episodes_per_env=3, max_episode_steps=limit)
    try:
        with pytest.warns(WorkerRestarted):
            counted = list(played)
    finally:
        workers.close()
    length = limit or 3
    assert counted == [Episode(float(length), length, is_cut=limit is not None)] * 6


# Seeds


def test_stages_seeds_and_runs_have_episodes_of_their_own():
    config, fixed = EvaluationConfig(), EvaluationConfig(seed=5)
    stages: list[Any] = ["validation", "test"]
    seeds = {config.episode_seed(run, stage) for run in range(20) for stage in stages}
    assert len(seeds) == 40
    assert fixed.episode_seed(0, "test") == fixed.episode_seed(1, "test")
    assert fixed.episode_seed(5, "test") == config.episode_seed(5, "test")


def test_environments_and_random_actions_draw_from_different_streams():
    """Where they are one stream, half of the (context, action) pairs are never tried."""
    pairs = set()

    class Draws(gym.Env[Any, Any]):
        observation_space = gym.spaces.Discrete(4)
        action_space = gym.spaces.Discrete(4)

        def reset(self, *, seed: Any = None, options: Any = None) -> Any:
            super().reset(seed=seed)
            self.steps, self.context = 0, int(self.np_random.integers(4))
            return self.context, {}

        def step(self, action: Any) -> Any:
            pairs.add((self.context, int(action)))
            self.steps, self.context = self.steps + 1, int(self.np_random.integers(4))
            return self.context, 0.0, self.steps == 200, False, {}

    factory = EnvironmentFactory(Draws, num_envs=1)
    list(play_episodes(factory.make(), factory.spec, Fixed(), episodes_per_env=1, epsilon=1.0))
    assert len(pairs) == 16


# --- who looks on after each step


def test_each_step_is_shown_with_the_actor_after_it_and_whom_evaluation_cut() -> None:
    seen: list[tuple[list[float], list[bool], list[bool]]] = []

    def look(step: Step, actor: Actor, is_cut: np.ndarray) -> None:
        seen.append((step.reward.tolist(), actor.ended.tolist(), is_cut.tolist()))

    scripts = [episodes(2), episodes(5)]
    play(scripts, 1, max_episode_steps=3, step_observers=[look])
    assert seen == [
        ([1.0, 1.0], [False, False], [False, False]),
        ([2.0, 2.0], [True, False], [False, False]),
        ([0.0, 3.0], [False, False], [False, True]),
    ]


def test_an_evaluator_says_by_which_rules_it_plays() -> None:
    factory = EnvironmentFactory("CartPole-v1", num_envs=1)
    evaluator = Evaluator(factory, EvaluationConfig(num_envs=1, epsilon="auto"))
    assert evaluator.rules == (0.0, None), "the environment has a limit of its own"
    evaluator.close()
    free = EnvironmentFactory(partial(ScriptedEnv, episodes(9)), num_envs=1)
    for limit, expected in (("auto", 10_000), (7, 7), (None, None)):
        config = EvaluationConfig(num_envs=1, epsilon=0.2, max_episode_steps=limit)
        evaluator = Evaluator(free, config)
        assert evaluator.rules == (0.2, expected)
        evaluator.close()


@pytest.mark.parametrize("as_it_is", [True, False])
def test_the_vector_env_that_trains_is_not_evaluated_in(as_it_is: bool) -> None:
    training = gym.make_vec("CartPole-v1", 2, vectorization_mode="sync")
    again = training if as_it_is else EnvironmentFactory(VectorWrapper(training))
    with pytest.raises(ValueError, match=r"evaluation.environment=CartPole-v1: .* leave it out"):
        ReplayDataModule(training, evaluation=EvaluationConfig(num_envs=2, environment=again))
    other = gym.make_vec("CartPole-v1", 2, vectorization_mode="sync")
    ReplayDataModule(training, evaluation=EvaluationConfig(num_envs=2, environment=other))


class Lives(FaultyEnv):
    """Tells that each step costs a life."""

    def reset(self, **kwargs: Any) -> Any:
        return super().reset(**kwargs)[0], {"life_lost": False}

    def step(self, action: Any) -> Any:
        return *super().step(action)[:4], {"life_lost": True}


def test_lives_may_be_told_in_evaluation_alone():
    config = EvaluationConfig(num_envs=2, environment=Lives)
    evaluator = Evaluator(EnvironmentFactory(FaultyEnv), config)
    played = evaluator.play(Fixed(), seed=0, episodes_per_env=1, observers=())
    assert [episode.episode_length for episode in played] == [3, 3]
    evaluator.close()
