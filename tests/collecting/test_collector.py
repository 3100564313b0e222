"""The collector against scripts: what it counts, what it writes down, what it refuses."""

from __future__ import annotations

from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import SyncVectorEnv
from support.faulty_env import FaultyEnv
from support.scripted_env import (
    UNEVEN,
    EpisodeScript,
    PaysEachCall,
    ScriptedEnv,
    Scripts,
    episodes,
    scripted_rows,
    scripted_vector,
    spec_of,
)
from support.scripted_policies import LastLegalAction

from lightning_dqn.collecting.collector import Collector
from lightning_dqn.collecting.exploration import Exploration
from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.replay.ring import ReplayBuffer
from lightning_dqn.replay.storage import ReplayConfig
from lightning_dqn.schedules import LinearSchedule
from lightning_dqn.transitions import NO_ACTION, Episode, Rows


def collector_of(
    scripts: Scripts = UNEVEN,
    *,
    spec: Any = None,
    epsilon: Any = 0.0,
    seed: int = 0,
    **kwargs: Any,
) -> Collector:
    spec = spec or spec_of()
    environment = scripted_vector(
        scripts, dtype=spec.observation_dtype, masked=spec.has_action_mask, **kwargs
    )
    return Collector(environment, spec, exploration=Exploration(epsilon=epsilon), seed=seed)


def envs_of(collector: Collector) -> list[ScriptedEnv]:
    environment = collector.actor.environment
    assert isinstance(environment, SyncVectorEnv)
    return list(environment.envs)  # type: ignore[arg-type]


def joined(parts: list[Rows]) -> Rows:
    columns = zip(*parts, strict=True)
    return Rows(*(None if c[0] is None else np.concatenate(c) for c in columns))  # type: ignore[arg-type]


# Lives


def test_lives_are_a_column_and_games_go_on():
    script = [EpisodeScript((1.0, 2.0, 3.0), lives_lost=(1,))]
    collector = collector_of([script], spec=spec_of(has_life_losses=True), tells_lives=True)
    rows = collector.collect(None, 5)
    assert rows.life_lost is not None
    #  step, step, step, final row, step, step
    assert rows.life_lost[:, 0].tolist() == [False, True, False, False, False, True]
    assert rows.terminated[:, 0].tolist() == [False, False, True, False, False, False]
    assert collector.take_episodes() == [Episode(6.0, 3)]
    final = collector.final_rows(collector.state_dict())
    assert final.life_lost is not None
    assert final.life_lost.tolist() == [[False]]


@pytest.mark.parametrize("lives", [True, False])
def test_the_stacks_acted_by_are_those_that_will_be_read(lives):
    """Of every row in which an action was chosen, through ends of games and of lives."""
    scripts = [
        [EpisodeScript((1.0,) * 6, lives_lost=(1, 4)), *episodes(2)],
        [EpisodeScript((1.0,) * 3, terminated=False, truncated=True, lives_lost=(0, 2))],
    ]
    spec = spec_of(frame_stack=3, has_life_losses=lives)
    collector = collector_of(scripts, spec=spec, tells_lives=lives)
    ring = ReplayBuffer(spec, 2, ReplayConfig(100))
    policy = LastLegalAction()
    while ring.total_times < 30:  # all fits: no stack has lost its oldest frames
        ring.extend(collector.collect(policy, collector.env_steps + 4))
    times = ring.total_times
    cells = ring.newest_cells(times)
    is_start = ring.read("action", cells) != NO_ACTION
    acted = torch.from_numpy(np.stack(policy.observations))
    read = ring.observations(cells.flatten()).unflatten(0, (times, 2))
    assert torch.equal(acted[is_start], read[is_start])


def test_nothing_is_kept_of_lives_where_environments_tell_of_none():
    assert collector_of().collect(None, 3).life_lost is None


# Counting


def test_rows_of_resets_are_not_env_steps():
    collector = collector_of([episodes(1)])
    rows = collector.collect(None, 3)
    # step, reset, step, reset, step
    assert rows.action[:, 0].tolist()[1::2] == [NO_ACTION] * 2
    assert (len(rows.action), collector.env_steps) == (5, 3)


def test_env_steps_are_those_the_environments_counted():
    collector = collector_of()
    for until in (1, 8, 9, 40, 101):
        collector.collect(None, until)
        played = sum(len(env.actions) for env in envs_of(collector))
        assert collector.env_steps == played


def test_a_row_without_an_action_is_exactly_a_final_observation():
    spec = spec_of()
    rows = collector_of().collect(None, 60)
    expected = scripted_rows(UNEVEN, len(rows.action), spec)
    assert ((rows.action == NO_ACTION) == (expected.action == NO_ACTION)).all()
    ended = rows.terminated | rows.truncated
    assert ((rows.action == NO_ACTION)[1:] == ended[:-1]).all()


def test_collecting_goes_to_the_count_and_less_than_one_round_beyond():
    collector = collector_of([episodes(100)] * 4)
    assert len(collector.collect(None, 5).action) == 2
    assert collector.env_steps == 8


def test_a_count_that_is_reached_already_takes_no_step():
    collector = collector_of([episodes(100)] * 4)
    collector.collect(None, 5)
    for until in (8, 7, 0, -5):
        assert len(collector.collect(None, until).action) == 0
    assert collector.env_steps == 8


def test_the_first_collection_of_nothing_takes_no_step():
    rows = collector_of().collect(None, 0)
    assert rows.action.shape == (0, 3)


# Rows


@pytest.mark.parametrize("dtype", ["float32", "uint8", "bool", "int64"])
@pytest.mark.parametrize("masked", [False, True])
def test_rows_equal_the_script(dtype, masked):
    spec = spec_of(dtype, masked=masked)
    rows = collector_of(spec=spec).collect(None, 60)
    expected = scripted_rows(UNEVEN, len(rows.action), spec)
    for name, column, value in zip(Rows._fields, rows, expected, strict=True):
        if name == "action":
            continue
        if value is None:
            assert column is None
        else:
            assert (column.dtype, name) == (value.dtype, name)
            np.testing.assert_array_equal(column, value, err_msg=name)


def test_actions_written_down_are_those_the_environments_got():
    collector = collector_of(epsilon=0.5)
    rows = collector.collect(LastLegalAction(), 60)
    for env in range(3):
        actions = rows.action[:, env]
        assert actions[actions != NO_ACTION].tolist() == envs_of(collector)[env].actions


def test_collecting_in_parts_or_at_once_gives_the_same_rows():
    at_once = collector_of(seed=4)
    whole = at_once.collect(None, 50)
    in_parts = collector_of(seed=4)
    parts = joined([in_parts.collect(None, until) for until in (1, 2, 3, 9, 30, 50)])
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one, other)
    assert at_once.take_episodes() == in_parts.take_episodes()


def test_rows_given_out_are_not_changed_by_later_steps():
    collector = collector_of()
    rows = collector.collect(None, 20)
    before = [None if c is None else c.copy() for c in rows]
    collector.collect(None, 60)
    for column, value in zip(rows, before, strict=True):
        np.testing.assert_array_equal(column, value)


def test_action_spaces_that_do_not_start_at_zero_are_numbered_from_zero_in_rows():
    collector = collector_of([episodes(3)], first_action=7)
    rows = collector.collect(LastLegalAction(), 20)
    assert set(rows.action.flatten()) == {NO_ACTION, 3}
    collector.collect(None, 80)  # ScriptedEnv refuses an action outside of 7..10
    assert set(envs_of(collector)[0].actions) == {0, 1, 2, 3}


# Episodes


def test_returns_and_lengths_of_episodes_are_those_of_the_script():
    collector = collector_of()
    collector.collect(None, 33)
    by_script = {(1.0, 1), (1.5, 3), (5.0, 2), (15.0, 5)}
    assert set(collector.episodes) == {Episode(*e) for e in by_script}
    ended = sum(env.episode for env in envs_of(collector))
    # An environment whose final observation waits for its reset hasn't begun the next episode.
    assert len(collector.episodes) == ended + int(collector.actor.ended.sum())


def test_an_episode_over_several_collections_is_counted_whole():
    collector = collector_of([episodes(6)])
    for until in range(1, 7):
        assert not collector.episodes
        collector.collect(None, until)
    assert collector.episodes == [Episode(21.0, 6)]


def test_episodes_are_taken_once():
    collector = collector_of([episodes(2)])
    collector.collect(None, 4)
    assert collector.take_episodes() == [Episode(3.0, 2)] * 2
    assert collector.take_episodes() == []


# Acting


def test_epsilon_follows_its_schedule_over_env_steps():
    collector = collector_of([episodes(10_000)], epsilon=LinearSchedule(1.0, 0.0, 2_000))
    action = collector.collect(LastLegalAction(), 4_000).action[:, 0]
    explored = (action != 3) / 0.75  # a random action is the greedy one in one of four cases
    assert explored[:500].mean() == pytest.approx(0.875, abs=0.1)
    assert explored[1_500:2_000].mean() == pytest.approx(0.125, abs=0.1)
    assert explored[2_000:].mean() == 0


def test_of_several_ranks_epsilon_follows_the_env_steps_of_all():
    collector = collector_of([episodes(10_000)], epsilon=lambda count: float(count < 100))
    collector.num_ranks = 2
    action = collector.collect(LastLegalAction(), 100).action[:, 0]
    assert set(action[:50]) == {0, 1, 2, 3}
    assert set(action[50:]) == {3}


def test_without_exploration_the_policy_alone_acts():
    for exploration in (None, Exploration(epsilon=0.0)):
        collector = Collector(scripted_vector(UNEVEN), spec_of(), exploration=exploration)
        rows = collector.collect(LastLegalAction(), 60)
        assert set(rows.action.flatten()) == {NO_ACTION, 3}


def test_a_row_that_begins_an_episode_holds_no_reward_whatever_the_environment_gave():
    environment = PaysEachCall(scripted_vector([episodes(2)]))
    rows = Collector(environment, spec_of()).collect(None, 4)
    assert rows.reward[:, 0].tolist() == [11.0, 12.0, 0.0, 11.0, 12.0]


def test_what_is_upcoming_is_observed_by_the_next_row():
    spec = spec_of(masked=True)
    collector = collector_of(spec=spec)
    for until in (1, 5, 9):
        collector.collect(None, until)
        observation, mask = collector.upcoming()
        rows = collector.collect(None, collector.env_steps + 1)
        assert rows.action_mask is not None
        np.testing.assert_array_equal(rows.observation[0], observation)
        np.testing.assert_array_equal(rows.action_mask[0], mask)


@pytest.mark.parametrize("frame_stack", [1, 3])
def test_the_policy_sees_the_stacks_that_the_ring_makes_of_the_same_rows(frame_stack):
    spec = spec_of(frame_stack=frame_stack)
    policy = LastLegalAction()
    collector = collector_of(spec=spec)
    rows = joined([collector.collect(policy, until) for until in (7, 20, 60)])
    ring = ReplayBuffer(spec, 3, ReplayConfig(capacity=3 * (len(rows.action) + 1)))
    ring.extend(rows)
    cells = ring.start_cells()
    seen = torch.from_numpy(np.stack(policy.observations)).flatten(0, 1)
    assert ring.num_starts == int((rows.action[:-1] != NO_ACTION).sum())
    assert torch.equal(ring.transitions_at(cells).observation, seen[cells])


# What is refused


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_reward_that_is_not_finite_is_refused_by_environment_and_name(value):
    bad = EpisodeScript((1.0, 1.0, float(value), 1.0))
    collector = collector_of([episodes(9), [bad]])
    with pytest.raises(ValueError, match=r"environment 1 gave a non-finite reward .* at step 2"):
        collector.collect(None, 20)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_observation_that_is_not_finite_is_refused_by_environment_and_name(value):
    def spoil(observation: np.ndarray) -> np.ndarray:
        return np.where(observation[2] == 3, np.float32(value), observation)

    def spoiled() -> gym.Env[Any, Any]:
        env = ScriptedEnv(episodes(5), env=1)
        return gym.wrappers.TransformObservation(env, spoil, env.observation_space)

    collector = Collector(SyncVectorEnv([lambda: ScriptedEnv(episodes(9)), spoiled]), spec_of())
    ring = ReplayBuffer(spec_of(), 2, ReplayConfig(capacity=100))
    ring.extend(collector.collect(None, 4))
    with pytest.raises(ValueError, match=r"environment 1 gave a non-finite observation"):
        ring.extend(collector.collect(None, 20))
    assert ring.num_rows == 4
    assert torch.isfinite(ring.sample(1, 50).next_observation).all()


@pytest.mark.parametrize("at", range(1, 5))
def test_a_newest_observation_that_is_not_finite_is_refused_before_anyone_reads_it(at):
    """No row holds it yet, but online learning reads it beside the ring."""

    def spoil(observation: np.ndarray) -> np.ndarray:
        return np.where(observation[2] == at, np.float32(np.nan), observation)

    def spoiled() -> gym.Env[Any, Any]:
        env = ScriptedEnv([*episodes(at), *episodes(5)], env=0)
        return gym.wrappers.TransformObservation(env, spoil, env.observation_space)

    collector = Collector(SyncVectorEnv([spoiled]), spec_of())
    if at > 1:
        collector.collect(None, at - 1)
    with pytest.raises(
        ValueError, match=r"environment 0 gave a non-finite observation .*at the end"
    ):
        collector.collect(None, at)


def test_an_own_reward_that_is_not_finite_is_refused_though_wrappers_hide_it():
    hides = partial(gym.wrappers.TransformReward, func=lambda reward: 1.0)
    factory = EnvironmentFactory(
        partial(FaultyEnv, fault="nan reward", at=1), num_envs=2, wrappers=[hides]
    )
    collector = Collector(factory.make(), factory.spec)
    with pytest.raises(
        ValueError, match=r"environment 0 gave a non-finite sum of own_reward \(nan"
    ):
        collector.collect(None, 20)


# Seeds and state


def test_the_same_seed_collects_the_same_rows_and_another_seed_others():
    one, same, other = (collector_of(seed=s).collect(None, 90) for s in (1, 1, 2))
    np.testing.assert_array_equal(one.action, same.action)
    assert not np.array_equal(one.action, other.action)


def test_counters_and_generator_continue_from_their_state():
    collector = collector_of([episodes(10_000)])
    collector.collect(None, 30)
    state = collector.state_dict()
    expected = collector.collect(None, 60).action
    resumed = collector_of([episodes(10_000)])
    resumed.load_state_dict(state)
    assert resumed.env_steps == 30
    np.testing.assert_array_equal(resumed.collect(None, 60).action, expected)


@pytest.mark.parametrize("env_steps", [4, 6], ids=["midway", "at-the-end"])
def test_a_restart_begins_new_episodes_with_nothing_left_of_the_old(env_steps):
    spec = spec_of(frame_stack=3)
    collector = collector_of([episodes(6)], spec=spec)
    collector.collect(None, env_steps)
    collector.take_episodes()
    collector.load_state_dict(collector.state_dict())
    policy = LastLegalAction()
    rows = collector.collect(policy, env_steps + 6)
    assert NO_ACTION not in rows.action
    assert policy.observations[0][0, :, 1:].tolist() == [[1, 0]] * 3
    assert collector.take_episodes() == [Episode(21.0, 6)]


def test_so_many_times_are_the_same_rows_as_their_env_steps_would_be():
    by_env_steps = collector_of(epsilon=0.5).collect(LastLegalAction(), 40)
    collector = collector_of(epsilon=0.5)
    num_times = len(by_env_steps.action)
    parts = [collector.collect_times(LastLegalAction(), n) for n in (7, 0, num_times - 7)]
    assert [len(part.action) for part in parts] == [7, 0, num_times - 7]
    for whole, *columns in zip(by_env_steps, *parts, strict=True):
        np.testing.assert_array_equal(whole, None if whole is None else np.concatenate(columns))
