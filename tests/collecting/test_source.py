"""Where rows come from: warm-up, the target of env steps, the collecting thread, closing."""

from __future__ import annotations

import dataclasses
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv
from support.scripted_env import EpisodeScript, ScriptedEnv, episodes, scripted_vector
from support.scripted_policies import ScriptedLearner

from lightning_dqn.collecting.contract import Collected
from lightning_dqn.collecting.source import CollectionConfig, EnvironmentSource
from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.schedules import LinearSchedule
from lightning_dqn.system.seeding import seeds_of
from lightning_dqn.transitions import NO_ACTION, Episode

ENDLESS = episodes(100_000)
Make = Callable[..., EnvironmentSource]


@pytest.fixture
def make_source() -> Iterator[Make]:
    """A function that makes a source of 2 endless environments, 4 env steps an iteration."""
    made: list[EnvironmentSource] = []

    def make(script: Any = ENDLESS, *, num_envs: int = 2, **other: Any) -> EnvironmentSource:
        pace = {"warmup_env_steps": 0, "env_steps_per_iteration": 4, "seed": 0}
        pace = {name: other.pop(name, value) for name, value in pace.items()}
        factory = EnvironmentFactory(
            lambda: ScriptedEnv(script), num_envs=num_envs, vectorization="sync"
        )
        config = CollectionConfig(**{"epsilon": 0.0, **other})
        made.append(config.make(factory, **pace))
        return made[-1]

    yield make
    for source in made:
        source.close()


def iterations(source: EnvironmentSource, learner: Any, number: int) -> list[Collected]:
    """Warm up, then collect as the data module does."""
    for _ in source.warm_up(learner):
        pass
    found = []
    for _ in range(number):
        found.append(source.collect(learner))
        source.prefetch(learner)
    return found


def actions(collected: list[Collected]) -> list[set[int]]:
    """Return the actions that each iteration took."""
    return [set(np.unique(c.rows.action)) - {NO_ACTION} for c in collected]


def collecting_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("collector")]


# Warm-up


def test_the_first_warm_up_is_random_and_asks_no_policy(make_source):
    source, learner = make_source(warmup_env_steps=200), ScriptedLearner()
    ((rows, env_steps),) = source.warm_up(learner)
    assert set(rows.action.flatten()) == {0, 1, 2, 3}
    assert env_steps == 200
    assert learner.asked_in == []


def test_the_warm_up_of_a_continued_run_is_the_policys(make_source):
    learner = ScriptedLearner(action=2)
    state = make_source(warmup_env_steps=200)
    iterations(state, learner, 3)
    continued = make_source(warmup_env_steps=200)
    continued.load_state_dict(state.state_dict())
    ((rows, env_steps),) = continued.warm_up(learner)
    assert set(rows.action.flatten()) == {2}
    assert env_steps == 200 + 3 * 4 + 200


@pytest.mark.parametrize(
    ("num_envs", "parts"),
    [(1, [1_000, 2_000, 2_500]), (250, [1_000, 2_000, 2_500]), (300, [1_200, 2_400, 2_700])],
)
def test_the_warm_up_comes_in_parts(make_source, num_envs, parts):
    source = make_source(num_envs=num_envs, warmup_env_steps=2_500)
    told = [(rows.action.size, env_steps) for rows, env_steps in source.warm_up(ScriptedLearner())]
    assert [env_steps for _, env_steps in told] == parts
    assert [size for size, _ in told] == np.diff([0, *parts]).tolist()


def test_no_warm_up_gives_no_rows(make_source):
    source = make_source()
    assert list(source.warm_up(ScriptedLearner())) == []
    assert source.collect(ScriptedLearner()).env_steps == 4


# Env steps


@pytest.mark.parametrize(
    ("num_envs", "per_iteration", "env_steps"),
    [
        (2, 4, [4, 8, 12, 16, 20, 24]),
        (3, 4, [6, 9, 12, 18, 21, 24]),
        (4, 1, [4, 4, 4, 4, 8, 8]),
    ],
)
def test_what_an_iteration_takes_too_much_the_next_takes_less(
    make_source, num_envs, per_iteration, env_steps
):
    source = make_source(num_envs=num_envs, env_steps_per_iteration=per_iteration)
    collected = iterations(source, ScriptedLearner(), 6)
    assert [c.env_steps for c in collected] == env_steps
    assert [c.rows.action.size for c in collected] == np.diff([0, *env_steps]).tolist()


def test_iterations_average_to_the_steps_asked_for_also_where_episodes_end(make_source):
    source = make_source(episodes(1, 4, 2), num_envs=3, env_steps_per_iteration=7)
    collected = iterations(source, ScriptedLearner(), 50)
    for number, c in enumerate(collected, start=1):
        assert 7 * number <= c.env_steps < 7 * number + 3
    taken = sum(int((c.rows.action != NO_ACTION).sum()) for c in collected)
    assert taken == collected[-1].env_steps


def test_an_overshoot_of_the_warm_up_is_taken_off_the_first_iteration(make_source):
    source = make_source(num_envs=3, warmup_env_steps=4, env_steps_per_iteration=5)
    collected = iterations(source, ScriptedLearner(), 3)
    # 6 by the warm-up; then up to 9, 14 and 19
    assert [c.env_steps for c in collected] == [9, 15, 21]


@pytest.mark.parametrize("num_envs", [4, 3])
@pytest.mark.parametrize("overlap", [False, True])
def test_new_env_steps_are_those_since_the_last_iteration(make_source, num_envs, overlap):
    source = make_source(
        num_envs=num_envs, warmup_env_steps=16, env_steps_per_iteration=8, overlap=overlap
    )
    learner = ScriptedLearner()
    *_, (_, warmed_up) = source.warm_up(learner)
    told = [warmed_up]
    for _ in range(7):
        collected = source.collect(learner)
        source.prefetch(learner)
        assert collected.new_env_steps == collected.rows.action.size
        told.append(collected.new_env_steps)
    assert sum(told) == collected.env_steps


# What is told


def test_episodes_are_told_by_the_iteration_in_which_they_end(make_source):
    source = make_source(episodes(3), num_envs=1, warmup_env_steps=2, env_steps_per_iteration=2)
    told = [c.episodes for c in iterations(source, ScriptedLearner(), 4)]
    assert told == [[Episode(6.0, 3)], [Episode(6.0, 3)], [], [Episode(6.0, 3)]]


def test_epsilon_is_told_as_it_is_by_now(make_source):
    source = make_source(epsilon=LinearSchedule(1.0, 0.0, 16))
    told = [c.epsilon for c in iterations(source, ScriptedLearner(), 5)]
    assert told == [0.75, 0.5, 0.25, 0.0, 0.0]


@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize(
    ("explores", "random_actions", "epsilon"),
    [(True, "auto", 0.0), (False, "auto", 1.0), (False, False, 0.0), (True, True, 1.0)],
)
def test_the_warm_up_is_random_whether_or_not_what_follows_is(
    make_source, overlap, explores, random_actions, epsilon
):
    source = make_source(
        epsilon=1.0, random_actions=random_actions, warmup_env_steps=200, overlap=overlap
    )
    learner = ScriptedLearner(action=1, explores=explores)
    ((rows, _),) = source.warm_up(learner)
    assert set(rows.action.flatten()) == {0, 1, 2, 3}
    collected = [source.collect(learner)]
    for _ in range(20):
        source.prefetch(learner)
        collected.append(source.collect(learner))
    assert set.union(*actions(collected)) == ({0, 1, 2, 3} if epsilon else {1})
    assert {c.epsilon for c in collected} == {epsilon}


def test_what_is_upcoming_is_what_the_next_rows_begin_with(make_source):
    source, learner = make_source(episodes(3, 1)), ScriptedLearner()
    for _ in range(5):
        source.collect(learner)
        observation, mask = source.upcoming()
        assert mask is None
        np.testing.assert_array_equal(observation, source.collect(learner).rows.observation[0])


# Collecting beside learning


@pytest.mark.parametrize("epsilon", [0.0, 0.5, LinearSchedule(1.0, 0.1, 30)])
def test_overlap_gives_the_same_rows_where_the_policy_stays_the_same(make_source, epsilon):
    made = {
        overlap: iterations(
            make_source(
                episodes(2, 5, 1),
                num_envs=3,
                warmup_env_steps=10,
                epsilon=epsilon,
                temperature=0.0,
                random_action_max_steps=3,
                overlap=overlap,
            ),
            ScriptedLearner(),
            10,
        )
        for overlap in (False, True)
    }
    for plain, ahead in zip(made[False], made[True], strict=True):
        for one, other in zip(plain.rows, ahead.rows, strict=True):
            np.testing.assert_array_equal(one, other)
        assert plain[1:] == ahead[1:]


@pytest.mark.parametrize(("overlap", "taken"), [(False, [0, 1, 2, 3]), (True, [0, 0, 1, 2])])
def test_overlap_acts_with_the_weights_of_one_iteration_before(make_source, overlap, taken):
    source, learner = make_source(overlap=overlap), ScriptedLearner(action=0)
    found = []
    for update in range(4):
        found.append(source.collect(learner))
        source.prefetch(learner)
        learner.action = update + 1
    assert actions(found) == [{action} for action in taken]


def test_rows_come_from_a_thread_of_their_own_whose_policy_the_learner_makes(make_source):
    source, learner = make_source(overlap=True), ScriptedLearner()
    iterations(source, learner, 3)
    source.state_dict()  # waits for what is collected ahead
    here = threading.current_thread().name
    assert learner.asked_in == [here] * 4
    assert learner.acted_in == [here] * 2 + ["collector_0"] * 6


def test_without_overlap_there_is_no_thread(make_source):
    source, learner = make_source(), ScriptedLearner()
    iterations(source, learner, 3)
    assert learner.asked_in == learner.acted_in[::2] == [threading.current_thread().name] * 3
    assert collecting_threads() == []


def test_who_does_not_go_ahead_gets_rows_collected_when_asked_for(make_source):
    source, learner = make_source(overlap=True), ScriptedLearner(action=0)
    source.collect(learner)
    source.prefetch(learner)
    learner.action = 1
    found = [source.collect(learner), source.collect(learner)]
    assert actions(found) == [{0}, {1}]
    assert [c.env_steps for c in found] == [8, 12]


def test_what_fails_in_the_thread_is_raised_where_its_rows_are_asked_for(make_source):
    bad = [EpisodeScript((1.0, 1.0, float("nan")))]
    source, learner = make_source(bad, overlap=True), ScriptedLearner()
    assert source.collect(learner).env_steps == 4
    source.prefetch(learner)
    with pytest.raises(ValueError, match="environment 0 gave a non-finite reward"):
        source.collect(learner)


def test_what_fails_in_the_thread_leaves_the_state_of_before_from_which_a_run_goes_on(make_source):
    bad = [EpisodeScript((1.0, 1.0, float("nan")))]
    source, learner = make_source(bad, overlap=True), ScriptedLearner()
    source.collect(learner)
    following = source.upcoming()[0].copy()
    source.prefetch(learner)
    state = source.state_dict()
    assert (state["env_steps"], state["env_steps_told"], state["target_env_steps"]) == (4, 4, 4)
    continued = make_source(overlap=True)
    last = continued.load_state_dict(state)
    assert last.action.tolist() == [[NO_ACTION] * 2]
    np.testing.assert_array_equal(last.observation[0], following)
    assert continued.collect(learner).env_steps == 8


# State and closing


def test_a_continued_run_goes_on_counting_and_draws_what_it_would_have_drawn(make_source):
    learner = ScriptedLearner()
    source = make_source(warmup_env_steps=20, epsilon=0.5)
    iterations(source, learner, 5)
    state = {**source.state_dict(), "actor": None}  # as it is left by a fit's end
    continued = [make_source(warmup_env_steps=20, epsilon=0.5) for _ in range(2)]
    found = []
    for again in continued:
        again.load_state_dict(state)
        found.append(iterations(again, learner, 5))
    assert [c.env_steps for c in found[0]] == [64, 68, 72, 76, 80]
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one.rows.action, other.rows.action)
    fresh = iterations(make_source(warmup_env_steps=20, epsilon=0.5), learner, 5)
    assert any((a.rows.action != b.rows.action).any() for a, b in zip(found[0], fresh, strict=True))


def test_environments_of_a_continued_run_get_other_seeds_than_at_first(make_source):
    source = make_source(warmup_env_steps=6, seed=3)
    iterations(source, ScriptedLearner(), 1)
    continued = make_source(warmup_env_steps=6, seed=3)
    continued.load_state_dict({**source.state_dict(), "actor": None})
    for _ in continued.warm_up(ScriptedLearner()):
        pass
    seeds = [[env.np_random_seed for env in envs_of(each)] for each in (source, continued)]
    assert seeds == [seeds_of(3, "environments", number, count=2) for number in (0, 10)]


def test_a_new_source_goes_on_where_the_learner_is(make_source):
    source = make_source(warmup_env_steps=20, epsilon=LinearSchedule(1.0, 0.0, 1_000))
    source.continue_from(900)
    found = iterations(source, ScriptedLearner(), 2)
    assert [c.env_steps for c in found] == [924, 928]
    assert found[0].epsilon == pytest.approx(1 - 924 / 1_000)


def test_who_goes_on_draws_other_numbers_than_at_first(make_source):
    drawn = []
    for env_steps in (0, 900, 900, 1_000):
        source = make_source()
        if env_steps:
            source.continue_from(env_steps)
        drawn.append(source.collector.actor.generator.random())
    assert drawn[1] == drawn[2]
    assert len(set(drawn)) == 3


def envs_of(source: EnvironmentSource) -> list[Any]:
    environment = source.collector.actor.environment
    assert isinstance(environment, SyncVectorEnv)
    return list(environment.envs)


def test_the_state_counts_what_is_being_collected(make_source):
    source = make_source(overlap=True)
    iterations(source, ScriptedLearner(), 3)
    assert source.state_dict()["env_steps"] == 16


def test_closing_ends_the_thread_and_the_environments_and_may_be_repeated(make_source):
    source = make_source(overlap=True)
    iterations(source, ScriptedLearner(), 2)
    assert len(collecting_threads()) == 1
    environment = source.collector.actor.environment
    for _ in range(2):
        source.close()
        assert collecting_threads() == []
        assert environment.closed


@pytest.mark.parametrize("overlap", [False, True])
def test_a_vector_env_of_the_users_own_is_used_and_left_open(overlap):
    environment = scripted_vector([ENDLESS, ENDLESS])
    source = CollectionConfig(overlap=overlap).make(
        EnvironmentFactory(environment), warmup_env_steps=4, env_steps_per_iteration=4, seed=0
    )
    iterations(source, ScriptedLearner(), 2)
    assert source.num_envs == 2
    assert source.collector.actor.environment is environment
    source.close()
    assert not environment.closed
    assert collecting_threads() == []
    environment.close()


def test_the_seed_is_that_of_environments_and_exploration(make_source):
    def collect(seed: int) -> np.ndarray:
        source = make_source(seed=seed, warmup_env_steps=40)
        ((rows, _),) = source.warm_up(ScriptedLearner())
        expected = seeds_of(seed, "environments", 0, count=2)[1]
        assert envs_of(source)[1].np_random_seed == expected
        return rows.action

    np.testing.assert_array_equal(collect(1), collect(1))
    assert not np.array_equal(collect(1), collect(2))


# The configuration


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("warmup_env_steps", -1),
        ("epsilon", 1.1),
        ("epsilon", -0.1),
        ("random_action_max_steps", 0),
        ("random_actions", "never"),
    ],
)
def test_a_setting_that_means_nothing_is_refused_by_name(key, value):
    with pytest.raises(ValueError, match=f"{key}="):
        CollectionConfig(**{key: value})


def test_a_temperature_below_zero_is_refused():
    with pytest.raises(ValueError, match="temperature=-1: at least 0"):
        CollectionConfig(temperature=-1)


@pytest.mark.parametrize("former", [False, True])
def test_epsilon_greedy_of_0_1_is_understood_with_a_warning_where_it_stands(former):
    text = "epsilon_greedy is now random_actions; the old name goes with 0.3"
    with pytest.warns(FutureWarning, match=text) as told:
        config = CollectionConfig(epsilon=0.3, epsilon_greedy=former)
    assert config == CollectionConfig(epsilon=0.3, random_actions=former)
    assert [warning.filename for warning in told] == [__file__]


def test_a_configuration_of_today_warns_of_nothing_also_when_it_is_changed():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        config = CollectionConfig(epsilon=0.3, overlap=True)
        changed = dataclasses.replace(config, warmup_env_steps=7)
    assert changed == CollectionConfig(warmup_env_steps=7, epsilon=0.3, overlap=True)


def test_a_former_configuration_keeps_its_meaning_when_it_is_changed():
    with pytest.warns(FutureWarning):
        former = CollectionConfig(epsilon_greedy=False)
    assert dataclasses.replace(former, warmup_env_steps=7).random_actions is False
