"""The actor: which actions it takes, what it sees, and which episodes it counts."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv, VectorEnv
from support.scripted_env import (
    UNEVEN,
    IdentityEnv,
    PaysEachCall,
    Scripts,
    episodes,
    frame,
    legal_actions,
    scripted_vector,
    spec_of,
)
from support.scripted_policies import LastLegalAction, NearlyEqual

from lightning_dqn.collecting.actor import Actor, Step
from lightning_dqn.collecting.collector import Collector
from lightning_dqn.collecting.evaluation import play_episodes
from lightning_dqn.collecting.exploration import Exploration, HeldActions, epsilon_greedy
from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.environments.worker_faults import RESTARTED
from lightning_dqn.schedules import LinearSchedule
from lightning_dqn.system.seeding import seeds_of
from lightning_dqn.transitions import NO_ACTION, Episode, Policy


def actor_of(
    scripts: Scripts = UNEVEN,
    *,
    spec: EnvironmentSpec | None = None,
    seed: int = 0,
    wrapper: Callable[[VectorEnv], VectorEnv] = lambda environment: environment,
    first_action: int = 0,
    **exploration: Any,
) -> Actor:
    """Return an actor in the scripts that was reset and doesn't explore unless told so."""
    spec = spec or spec_of()
    environment = scripted_vector(
        scripts,
        dtype=spec.observation_dtype,
        masked=spec.has_action_mask,
        first_action=first_action,
    )
    actor = Actor(
        wrapper(environment),
        spec,
        Exploration(**{"epsilon": 0.0, **exploration}),
        np.random.default_rng(seed),
    )
    actor.reset(seed)
    return actor


def take(actor: Actor, policy: Policy | None, num_steps: int) -> list[Step]:
    """Step, with the env steps counted as the collector counts them."""
    taken: list[Step] = []
    env_steps = 0
    for _ in range(num_steps):
        taken.append(actor.step(policy, env_steps))
        env_steps += int((~taken[-1].is_reset).sum())
    return taken


def actions_of(taken: list[Step]) -> np.ndarray:
    """Return int64[T, E], ``NO_ACTION`` where the action was ignored."""
    return np.stack([np.where(step.is_reset, NO_ACTION, step.action) for step in taken])


def episodes_of(taken: list[Step]) -> list[list[tuple[int, Episode]]]:
    return [step.episodes for step in taken]


# One actor for collecting and evaluation


@pytest.mark.parametrize("epsilon", [0.0, 0.4])
def test_collecting_and_evaluation_play_the_same_episodes(epsilon):
    class KnowsTheState:
        def act(self, observation: np.ndarray, action_mask: Any = None) -> np.ndarray:
            return observation.argmax(axis=1)

    def environment() -> VectorEnv:
        return SyncVectorEnv([lambda: IdentityEnv(3, episode_length=7)] * 4)

    spec = EnvironmentSpec((3,), "float32", 3)
    played = list(
        play_episodes(
            environment(), spec, KnowsTheState(), episodes_per_env=6, epsilon=epsilon, seed=5
        )
    )
    collector = Collector(environment(), spec, exploration=Exploration(epsilon=epsilon), seed=5)
    collector.collect(KnowsTheState(), 6 * 4 * 7)
    assert collector.take_episodes() == played
    assert len(played) == 24
    assert (len({episode.episode_return for episode in played}) > 1) == (epsilon > 0)


@pytest.mark.parametrize("frame_stack", [1, 3])
def test_collecting_and_evaluation_see_and_do_the_same(frame_stack):
    """Evaluation stops at its last episode; until then every call and every action is the same."""
    spec = spec_of(masked=True, frame_stack=frame_stack)
    evaluated, collecting = (scripted_vector(UNEVEN, masked=True) for _ in range(2))
    in_evaluation, in_collecting = LastLegalAction(), LastLegalAction()
    exploration = Exploration(epsilon=0.5)
    played = play_episodes(evaluated, spec, in_evaluation, episodes_per_env=5, epsilon=0.5, seed=2)
    assert len(list(played)) == 15
    Collector(collecting, spec, exploration=exploration, seed=2).collect(in_collecting, 200)
    calls = len(in_evaluation.observations)
    assert calls >= 5 * 3 + 4
    np.testing.assert_array_equal(in_evaluation.observations, in_collecting.observations[:calls])
    np.testing.assert_array_equal(in_evaluation.masks, in_collecting.masks[:calls])
    for one, other in zip(evaluated.envs, collecting.envs, strict=True):
        assert one.actions == other.actions[: len(one.actions)]


# What a step tells


def test_a_step_after_an_end_only_begins_the_next_episode():
    taken = take(actor_of([episodes(2), episodes(1)]), None, 6)
    assert [step.is_reset.tolist() for step in taken] == [
        [False, False],
        [False, True],
        [True, False],
        [False, True],
        [False, False],
        [True, True],
    ]


def test_ended_tells_of_the_newest_observation_and_is_reset_of_the_one_before():
    actor = actor_of()
    assert not actor.ended.any()
    for _ in range(30):
        before = actor.ended
        step = actor.step(None, 0)
        np.testing.assert_array_equal(step.is_reset, before)
        np.testing.assert_array_equal(actor.ended, step.terminated | step.truncated)


def test_the_newest_observation_is_the_one_the_script_shows():
    actor = actor_of([episodes(2)])
    seen = [actor.observation[0].tolist()]
    for _ in range(4):
        actor.step(None, 0)
        seen.append(actor.observation[0].tolist())
    places = [(0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 1, 0), (0, 1, 1)]
    assert seen == [frame(*place).tolist() for place in places]


def test_rewards_and_ends_are_those_of_the_script():
    taken = take(actor_of([UNEVEN[1], UNEVEN[2]]), None, 4)
    assert [step.reward.tolist() for step in taken] == [[0.5, 1.0], [-1.0, 4.0], [2.0, 0.0], [0, 1]]
    assert [step.terminated.tolist() for step in taken] == [
        [False, False],
        [False, True],
        [False, False],
        [False, False],
    ]
    assert [step.truncated.tolist() for step in taken] == [
        [False, False],
        [False, True],
        [True, False],
        [False, False],
    ]


def test_the_environments_get_the_actions_that_are_told():
    actor = actor_of(epsilon=0.5)
    actions = actions_of(take(actor, LastLegalAction(), 40))
    for env in range(3):
        own = actions[:, env]
        assert own[own != NO_ACTION].tolist() == actor.environment.envs[env].actions  # type: ignore[attr-defined]


@pytest.mark.parametrize("first_action", [-3, 7])
def test_actions_are_told_from_zero_wherever_their_space_starts(first_action):
    actor = actor_of([episodes(3)], first_action=first_action)  # it refuses what is outside
    assert {int(step.action[0]) for step in take(actor, LastLegalAction(), 10)} == {3}
    assert {int(step.action[0]) for step in take(actor, None, 60)} == {0, 1, 2, 3}
    assert set(actor.environment.envs[0].actions) == {0, 1, 2, 3}  # type: ignore[attr-defined]


# Episodes


def test_episodes_are_told_where_and_when_they_end():
    assert episodes_of(take(actor_of(), None, 6)) == [
        [(0, Episode(1.0, 1))],
        [(2, Episode(5.0, 2))],
        [(0, Episode(1.0, 1)), (1, Episode(1.5, 3))],
        [],
        [(0, Episode(1.0, 1))],
        [],
    ]


def test_what_the_call_that_begins_an_episode_gives_is_not_of_its_return():
    taken = take(actor_of([episodes(2)], wrapper=PaysEachCall), None, 8)
    told = [episode for step in taken for _, episode in step.episodes]
    assert told == [Episode(23.0, 2)] * 3


def test_a_reset_forgets_the_episodes_that_were_open():
    actor = actor_of([episodes(6), episodes(2)])
    take(actor, None, 2)
    assert actor.ended.tolist() == [False, True]
    actor.reset(0)
    assert actor.ended.tolist() == [False, False]
    taken = take(actor, None, 6)
    assert not taken[0].is_reset.any()
    assert [e for step in taken for i, e in step.episodes if i == 0] == [Episode(21.0, 6)]
    assert {e for step in taken for i, e in step.episodes if i == 1} == {Episode(3.0, 2)}


def test_each_environment_is_reset_with_a_seed_of_its_own():
    environment = gym.make_vec("MountainCar-v0", 3, vectorization_mode="sync")
    spec = EnvironmentSpec((2,), "float32", num_actions=3)
    actor = Actor(environment, spec, Exploration(), np.random.default_rng(0))
    actor.reset(5)
    seeds = seeds_of(5, "environments", 0, count=3)
    for index, seed in enumerate(seeds):
        alone = gym.make("MountainCar-v0").reset(seed=seed)[0]
        np.testing.assert_array_equal(actor.observation[index], alone)
    assert len(set(seeds)) == 3


def test_environments_of_another_seed_or_reset_have_no_stream_in_common():
    environment = scripted_vector([episodes(3)] * 8)
    actor = Actor(environment, spec_of(), Exploration(), np.random.default_rng(0))
    seeds: set[int] = set()
    for seed in range(4):
        for number in (0, 100):
            actor.reset(seed, number)
            seeds |= {one.np_random_seed for one in environment.envs}
    assert len(seeds) == 4 * 2 * 8


@pytest.mark.parametrize("around", [lambda e: e, gym.wrappers.vector.RecordEpisodeStatistics])
def test_vector_environments_of_one_stream_get_one_number(around):
    environment = around(gym.make_vec("CartPole-v1", 3, vectorization_mode="vector_entry_point"))
    spec = EnvironmentSpec((4,), "float32", num_actions=2)
    actor = Actor(environment, spec, Exploration(), np.random.default_rng(0))
    actor.reset(5)
    seen = actor.observation.copy()
    actor.reset(5)
    np.testing.assert_array_equal(actor.observation, seen)
    actor.reset(6)
    assert not np.array_equal(actor.observation, seen)


# What the policy is shown


def test_the_policy_gets_the_mask_of_its_observation():
    policy = LastLegalAction()
    take(actor_of(spec=spec_of(masked=True)), policy, 40)
    for observations, mask in zip(policy.observations, policy.masks, strict=True):
        places = [tuple(int(number) for number in place) for place in observations]
        expected = np.stack([legal_actions(*place, 4) for place in places])
        np.testing.assert_array_equal(mask, expected)


def test_without_masks_the_policy_gets_none():
    policy = LastLegalAction()
    actor = actor_of()
    assert actor.action_mask is None
    take(actor, policy, 5)
    assert policy.masks == [None] * 5


def test_stacks_begin_anew_with_each_episode():
    policy = LastLegalAction()
    take(actor_of([episodes(2)], spec=spec_of(frame_stack=2)), policy, 5)
    frames = [[tuple(f[1:]) for f in stack[0].tolist()] for stack in policy.observations]
    assert frames == [
        [(0, 0), (0, 0)],
        [(0, 0), (0, 1)],
        [(0, 1), (0, 2)],  # the final observation: the environment ignores the action
        [(1, 0), (1, 0)],
        [(1, 0), (1, 1)],
    ]


def test_a_stack_of_one_is_the_observation_itself():
    actor = actor_of()
    assert actor.stacked is actor.observation
    actor.step(None, 0)
    assert actor.stacked is actor.observation


def test_a_reset_begins_new_stacks():
    actor = actor_of([episodes(6)], spec=spec_of(frame_stack=3))
    take(actor, None, 4)
    actor.reset(0)
    assert actor.stacked[0].tolist() == [frame(0, 1, 0).tolist()] * 3


# Choosing actions


@pytest.mark.parametrize("policy", [None, LastLegalAction()], ids=["warm-up", "epsilon-greedy"])
@pytest.mark.parametrize("random_action_max_steps", [1, 5])
def test_only_legal_actions_are_taken(policy, random_action_max_steps):
    actor = actor_of(
        spec=spec_of(masked=True), epsilon=0.5, random_action_max_steps=random_action_max_steps
    )
    seen = set()
    for _ in range(200):
        mask = actor.action_mask
        step = actor.step(policy, 0)
        assert mask is not None
        assert mask[np.arange(3), step.action][~step.is_reset].all()
        seen |= set(step.action[~step.is_reset].tolist())
    assert seen == {0, 1, 2, 3}


def test_without_exploration_the_policy_alone_acts():
    actions = actions_of(take(actor_of(epsilon=0.0), LastLegalAction(), 40))
    assert set(actions.flatten()) == {NO_ACTION, 3}


def test_full_exploration_is_uniform_over_all_actions():
    actions = actions_of(take(actor_of(epsilon=1.0), LastLegalAction(), 2_500))
    counts = np.bincount(actions[actions != NO_ACTION], minlength=4)
    assert counts.sum() > 4_000
    assert (abs(counts / counts.sum() - 0.25) < 0.03).all()


def test_without_a_policy_actions_are_uniform_whatever_epsilon():
    actions = actions_of(take(actor_of(epsilon=0.0), None, 2_500))
    counts = np.bincount(actions[actions != NO_ACTION], minlength=4)
    assert (abs(counts / counts.sum() - 0.25) < 0.03).all()


def test_epsilon_is_that_of_its_schedule_by_the_env_steps():
    actor = actor_of(epsilon=LinearSchedule(1.0, 0.2, 100))
    policy = LastLegalAction()
    epsilon = [actor.epsilon(policy, env_steps) for env_steps in (0, 50, 100, 900)]
    assert epsilon == pytest.approx([1.0, 0.6, 0.2, 0.2])


def test_a_shift_moves_epsilon_within_0_and_1():
    actor = actor_of(epsilon=LinearSchedule(1.0, 0.2, 100))
    policy = LastLegalAction()
    for shift, expected in ((0.1, [1.0, 0.7, 0.3]), (-0.4, [0.6, 0.2, 0.0])):
        actor.epsilon_shift = shift
        assert [actor.epsilon(policy, n) for n in (0, 50, 100)] == pytest.approx(expected)
    assert actor.epsilon(None, 0) == 1.0


@pytest.mark.parametrize(
    ("random_actions", "expected"),
    [
        # none, one that explores by itself, one that doesn't, one that doesn't say
        ("auto", [1.0, 0.0, 0.3, 0.3]),
        (True, [1.0, 0.3, 0.3, 0.3]),
        (False, [1.0, 0.0, 0.0, 0.0]),
    ],
)
def test_epsilon_goes_by_the_policy_where_it_is_not_told(random_actions, expected):
    actor = actor_of(epsilon=0.3, random_actions=random_actions)
    policies = (None, LastLegalAction(explores=True), LastLegalAction(), NearlyEqual())
    assert [actor.epsilon(policy, 0) for policy in policies] == expected


@pytest.mark.parametrize(
    ("random_actions", "explores", "taken"),
    [
        ("auto", True, {3}),
        ("auto", False, {0, 1, 2, 3}),
        (True, True, {0, 1, 2, 3}),
        (False, False, {3}),
    ],
)
def test_an_action_is_replaced_only_where_epsilon_is_above_0(random_actions, explores, taken):
    actor = actor_of(epsilon=1.0, random_actions=random_actions)
    actions = actions_of(take(actor, LastLegalAction(explores=explores), 40))
    assert set(actions.flatten()) - {NO_ACTION} == taken


def test_boltzmann_exploration_follows_its_schedule_and_its_seed():
    """Noise while the temperature is above 0, none after; the same with the same seed."""
    actions = []
    for _ in range(2):
        policy = NearlyEqual()
        actor = actor_of(temperature=LinearSchedule(5.0, 0.0, 12), seed=3)
        taken = actions_of(take(actor, policy, 15))
        actions.append(taken)
        is_given = [noise is not None for noise in policy.noise]
        assert is_given == sorted(is_given, reverse=True)
        assert True in is_given
        assert False in is_given
        late = taken[sum(is_given) :]
        assert set(late[late != NO_ACTION]) == {2}
    assert len(set(actions[0][actions[0] != NO_ACTION])) > 1
    np.testing.assert_array_equal(*actions)


def test_the_noise_of_a_temperature_has_a_number_for_every_action():
    policy = NearlyEqual()
    take(actor_of(temperature=0.5), policy, 3)
    shapes = [None if noise is None else (noise.shape, noise.dtype.name) for noise in policy.noise]
    assert shapes == [((3, 4), "float32")] * 3


class CutsFirst(gym.vector.VectorWrapper):
    """Cuts the first environment's episode at the second step, as a worker that began anew."""

    num_steps = 0

    def step(self, actions: Any) -> Any:
        *given, truncated, info = super().step(actions)
        self.num_steps += 1
        if self.num_steps == 2:
            truncated[0] = True
            info[RESTARTED] = np.arange(self.num_envs) == 0
            info["_action_mask"] = ~info[RESTARTED]
            if self.num_envs == 1:
                del info["action_mask"], info["_action_mask"]
        return *given, truncated, info


@pytest.mark.parametrize("num_envs", [1, 2])
def test_where_a_worker_began_anew_the_legal_actions_are_those_of_before(num_envs: int):
    actor = actor_of([episodes(9)] * num_envs, spec=spec_of(masked=True), wrapper=CutsFirst)
    actor.step(LastLegalAction(), 0)
    before = actor.action_mask
    assert before is not None
    assert not before[0].all()
    actor.step(LastLegalAction(), 0)
    after = actor.action_mask
    assert after is not None
    np.testing.assert_array_equal(after[0], before[0])
    for mask in after[1:]:
        np.testing.assert_array_equal(mask, legal_actions(1, 0, 2, 4))


# Holding actions


def test_random_actions_are_held_as_a_naive_twin_holds_them():
    scripts: Scripts = [episodes(4), episodes(9), episodes(1)]
    actor = actor_of(scripts, epsilon=0.5, random_action_max_steps=4, seed=8)
    taken = take(actor, LastLegalAction(), 60)
    generator = np.random.default_rng(8)
    held = HeldActions(3, 4, generator)
    for step in taken:
        greedy = np.full(3, 3)
        action, explores = epsilon_greedy(greedy, 0.5, 4, None, generator)
        action = held.apply(action, explores & ~step.is_reset, None)
        held.forget(step.terminated | step.truncated)
        np.testing.assert_array_equal(step.action, action)
    without = take(actor_of(scripts, epsilon=0.5, seed=8), LastLegalAction(), 60)
    assert not np.array_equal(actions_of(taken), actions_of(without))


def test_a_held_action_ends_with_its_episode():
    actor = actor_of([episodes(3)] * 20, random_action_max_steps=1_000, seed=1)
    first = actor.step(None, 0).action
    assert set(first) == {0, 1, 2, 3}
    later = [step.action for step in take(actor, LastLegalAction(), 6)]
    np.testing.assert_array_equal(later[0], first)
    np.testing.assert_array_equal(later[1], first)
    assert all((action == 3).all() for action in later[2:])


def test_a_step_that_only_begins_an_episode_begins_no_hold():
    actor = actor_of([episodes(1)] * 20, random_action_max_steps=1_000)
    assert [step.is_reset.all() for step in take(actor, None, 2)] == [False, True]
    assert (actor.step(LastLegalAction(), 0).action == 3).all()


def test_a_reset_holds_nothing_of_the_episodes_before():
    actor = actor_of([episodes(9)] * 20, random_action_max_steps=1_000)
    actor.step(None, 0)
    actor.reset(0)
    assert (actor.step(LastLegalAction(), 0).action == 3).all()


# Chance


def test_the_same_generator_takes_the_same_actions_and_another_others():
    act = partial(actor_of, epsilon=0.5)
    one, same, other = (
        actions_of(take(act(seed=seed), LastLegalAction(), 40)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


# What a continued actor needs


def continued(actor: Actor, state: dict[str, Any]) -> Actor:
    """Return another actor in equal environments that takes ``state`` and the same chance."""
    other = Actor(
        copy.deepcopy(actor.environment), actor.spec, HOLDING, copy.deepcopy(actor.generator)
    )
    other.load_state_dict(state)
    return other


def told(actor: Actor, steps: int) -> list[Any]:
    """Return all that an actor shows of its next steps, comparable."""
    shown: list[Any] = []
    for _ in range(steps):
        mask = None if actor.action_mask is None else actor.action_mask.tolist()
        shown.append((actor.stacked.tolist(), actor.observation.tolist(), mask))
        step = actor.step(LastLegalAction(), 0)
        shown.append([part.tolist() for part in step[:5]] + [step.episodes])
    return shown


def shown_or_refused(actor: Actor) -> list[Any] | None:
    """Return what it shows, None if the environment refuses an action: its mask was wrong."""
    try:
        return told(actor, 40)
    except AssertionError as error:
        if "is not legal" not in str(error):
            raise
        return None


HOLDING = Exploration(epsilon=0.5, random_action_max_steps=4)


def holds(state: dict[str, Any]) -> np.ndarray:
    """Return where the state of an actor holds an action that is legal and not greedy, bool[E]."""
    held, legal = state["held"], state["action_mask"].numpy()
    action, greedy = np.array(held["action"]), legal.shape[1] - 1 - legal[:, ::-1].argmax(axis=1)
    is_legal = legal[np.arange(len(legal)), action]
    return (np.array(held["remaining"]) > 0) & is_legal & (action != greedy)


def one_in_mid_episode() -> Actor:
    """Return an actor that holds an action in an open episode, beside one that has ended."""
    spec = spec_of(frame_stack=3, masked=True)
    actor = actor_of(UNEVEN, spec=spec, epsilon=0.5, random_action_max_steps=4)
    told(actor, 7)
    while True:
        state = actor.state_dict()
        is_open = ~state["ended"] & (state["returns"] != 0)
        if (is_open.numpy() & holds(state)).any() and state["ended"].any():
            return actor
        told(actor, 1)


def test_an_actor_goes_on_from_its_state_as_if_it_had_not_stopped():
    actor = one_in_mid_episode()
    other = continued(actor, actor.state_dict())
    assert told(other, 40) == told(actor, 40)


@pytest.mark.parametrize(
    "key", ["observation", "action_mask", "ended", "returns", "lengths", "frames", "held"]
)
def test_every_part_of_its_state_is_needed(key: str):
    actor = one_in_mid_episode()
    state, before = actor.state_dict(), actor_of(UNEVEN, spec=actor.spec)
    wrong = Actor(before.environment, actor.spec, HOLDING, np.random.default_rng(0))
    wrong.reset(0)
    other = continued(actor, {**state, key: wrong.state_dict()[key]})
    assert shown_or_refused(other) != told(actor, 40)
