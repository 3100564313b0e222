"""Lambda-returns of a rollout against their naive twin, and that no step of it is lost."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.drawing import RandomValues, draw
from support.naive_replay import NaiveReplay, Row, chunks, scripts_of_envs
from support.paces import asked
from support.scripted_env import episodes, first_steps, scripted_rows, scripted_vector, spec_of
from support.short_fits import iterations_of

from lightning_dqn import CollectionConfig, ReplayDataModule
from lightning_dqn.environments.factory import EnvironmentFactory
from lightning_dqn.replay.ring import ReplayBuffer
from lightning_dqn.replay.samplers.lambda_returns import LambdaReturns, LambdaReturnSampler
from lightning_dqn.replay.samplers.sampler import Pace
from lightning_dqn.replay.storage import ReplayConfig
from lightning_dqn.system.faults import NonFiniteError
from lightning_dqn.transitions import NO_ACTION, Transitions

# The twin


class NaiveReturns:
    """Lambda-returns by recursion along the episodes that the naive ring remembers."""

    def __init__(self, replay: NaiveReplay, trace: float) -> None:
        self.replay = replay
        self.trace = trace
        self.values = RandomValues()
        self.newest_before = -1

    def rollout(self) -> dict[tuple[float, ...], tuple[int, float]]:
        """Return action and target by the newest frame of each row since the last call.

        The row that was the newest then belongs to them: only now its successor is known.
        """
        first, self.newest_before = self.newest_before, self.replay.now - 1
        return {
            tuple(row.observation.tolist()): (int(row.action), self._target(episode, i))
            for of_env in self.replay.episodes
            for episode in of_env
            for i, row in enumerate(episode)
            if row.action != NO_ACTION and first <= row.time < self.replay.now - 1
        }

    def _target(self, episode: list[Row], i: int) -> float:
        row, after = episode[i], episode[i + 1]
        value = self.values.of(self.replay.stack(episode, i + 1), after.action_mask)
        ends = row.terminated or row.truncated
        assert ends == (after.action == NO_ACTION)
        if not ends and not row.life_lost and after.time < self.replay.now - 1:
            value = (1 - self.trace) * value + self.trace * self._target(episode, i + 1)
        discount = 0.0 if row.terminated or row.life_lost else self.replay.gamma
        return self.replay.counted(row) + discount * value


def served(transitions: Transitions, update: int) -> list[tuple[tuple[float, ...], int, float]]:
    """Return the newest frame, action and target of one minibatch's rows."""
    observation = transitions.observation[update].flatten(1)[:, -3:]
    columns = (observation, transitions.action[update], transitions.reward[update])
    frames, actions, targets = (column.tolist() for column in columns)
    return [(tuple(f), a, t) for f, a, t in zip(frames, actions, targets, strict=True)]


@settings(max_examples=100, deadline=None)
@given(
    scripts=scripts_of_envs,
    rollouts=st.lists(st.lists(st.integers(1, 6), min_size=1, max_size=3), min_size=1, max_size=5),
    gamma=st.sampled_from([0.9, -1.0, -0.5]),
    trace=st.sampled_from([0.0, 0.65, 1.0]),
    frame_stack=st.integers(1, 3),
    masked=st.booleans(),
    lives=st.booleans(),
    clip=st.sampled_from([None, 0.5]),
)
def test_rollouts_and_lambda_returns_are_those_of_the_naive_twin(
    scripts, rollouts, gamma, trace, frame_stack, masked, lives, clip
):
    """A ring of the longest rollout, the row before it and that row's stack is large enough."""
    num_envs, epochs = len(scripts), 2
    kept = max(map(sum, rollouts)) + frame_stack
    spec = spec_of(masked=masked, frame_stack=frame_stack, has_life_losses=lives)
    config = ReplayConfig(max(2, kept * num_envs), gamma=gamma, reward_clip=clip)
    ring = ReplayBuffer(spec, num_envs, config)
    sampler = LambdaReturnSampler(ring, LambdaReturns(trace))
    naive_ring = NaiveReplay(
        num_envs, kept, gamma=gamma, n_step=1, frame_stack=frame_stack, reward_clip=clip
    )
    twin = NaiveReturns(naive_ring, trace)
    parts = iter(chunks(scripted_rows(scripts, 90, spec), [*itertools.chain(*rollouts)]))
    for rollout in rollouts:
        for part in [next(parts) for _ in rollout]:
            ring.extend(part)
            naive_ring.extend(part)
        expected = twin.rollout()
        if not expected:
            with pytest.raises(ValueError, match="holds no transition yet"):
                draw(sampler, 1, 1)
            continue
        transitions = draw(sampler, epochs, len(expected))
        assert transitions.next_observation is transitions.weight is None
        assert not transitions.discount.any()
        for epoch in range(epochs):
            found = {
                place: (action, target) for place, action, target in served(transitions, epoch)
            }
            assert found.keys() == expected.keys(), "each start exactly once"
            for place, (action, target) in expected.items():
                assert found[place] == (action, pytest.approx(target, abs=1e-4))


# Order and kinds


def rollout_sampler(num_times: int, num_envs: int = 2, **config: Any) -> LambdaReturnSampler:
    ring = ReplayBuffer(spec_of(), num_envs, ReplayConfig(100, **config))
    sampler = LambdaReturnSampler(ring, LambdaReturns())
    ring.extend(scripted_rows([episodes(100)] * num_envs, num_times, spec_of()))
    return sampler


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_is_refused_where_it_comes_in(value):
    class Broken:
        def greedy_value(self, observation: Any, action_mask: Any = None) -> Any:
            values = torch.zeros(len(observation))
            values[3] = value
            return values

    with pytest.raises(NonFiniteError, match=rf"values observation 3 of \d+ .* at {value}, so"):
        rollout_sampler(8).sample(1, 4, 0, Broken())


def test_epochs_are_shuffled_each_on_its_own():
    transitions = draw(rollout_sampler(21), 3, 40)
    orders = [[place for place, _, _ in served(transitions, epoch)] for epoch in range(3)]
    assert orders[0] != orders[1] != orders[2] != orders[0]
    assert orders[0] != sorted(orders[0])
    assert set(orders[0]) == set(orders[1]) == set(orders[2])


def test_minibatches_of_an_epoch_are_parts_of_one_permutation():
    transitions = draw(rollout_sampler(21), 8, 10)
    places = [place for update in range(8) for place, _, _ in served(transitions, update)]
    assert set(Counter(places[:40]).values()) == {1}
    assert set(Counter(places[40:]).values()) == {1}


def test_columns_of_a_rollout_have_the_types_the_learner_relies_on():
    transitions = draw(rollout_sampler(21), 2, 5)
    assert transitions.observation.shape == (2, 5, 3)
    for name, dtype in (
        ("action", torch.int64),
        ("reward", torch.float32),
        ("discount", torch.float32),
    ):
        column = getattr(transitions, name)
        assert (column.dtype, column.shape) == (dtype, (2, 5))
        assert not column.is_inference()


# Settings


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("trace", 1.1),
        ("trace", -0.1),
        ("rollout_length", 0),
        ("epochs", 0),
        ("minibatches", 0),
    ],
)
def test_a_setting_that_means_nothing_is_refused_by_name(key, value):
    with pytest.raises(ValueError, match=f"{key}="):
        LambdaReturns(**{key: value})


# Pace


def test_the_pace_is_that_of_a_rollout_gone_over_in_parts():
    """6 environments: 60 steps in 4 parts of 15, 3 times over, and a warm-up of 2 rows each."""
    sampling = LambdaReturns(rollout_length=10, epochs=3, minibatches=4)
    assert sampling.pace(asked(num_envs=6, frame_stack=4)) == Pace(
        num_envs=6,
        frame_stack=4,
        n_step=None,
        overlap=False,
        capacity=(2 * 10 + 2 + 4) * 6,
        batch_size=15,
        updates_per_iteration=12,
        env_steps_per_iteration=60,
        warmup_env_steps=12,
    )


def test_a_warm_up_is_never_longer_than_needed():
    sampling = LambdaReturns()
    assert sampling.pace(asked(num_envs=3, warmup_env_steps=0)).warmup_env_steps == 6
    assert sampling.pace(asked(num_envs=3, warmup_env_steps=10**6)).warmup_env_steps == 6


@pytest.mark.parametrize(("minibatches", "size"), [(3, 2), (4, 2), (5, 1), (8, 1), (9, 1)])
def test_a_part_is_rounded_down_but_holds_a_transition(minibatches, size):
    sampling = LambdaReturns(rollout_length=4, minibatches=minibatches)
    assert sampling.pace(asked(num_envs=2)).batch_size == size


def test_overlap_is_refused_by_the_pace_itself():
    with pytest.raises(ValueError, match="overlap=True: lambda-returns need rows of the policy"):
        LambdaReturns().pace(asked(overlap=True))


# What a continued run needs


def test_a_fresh_sampler_that_takes_the_state_serves_what_was_new():
    rows = chunks(scripted_rows([episodes(4), episodes(7)], 30, spec_of()), [12, 6, 12])

    def sampler_of(*, has_served: bool) -> LambdaReturnSampler:
        ring = ReplayBuffer(spec_of(), 2, ReplayConfig(100), seed=3)
        sampler = LambdaReturnSampler(ring, LambdaReturns())
        ring.extend(rows[0])
        if has_served:
            draw(sampler, 1, 20)
        ring.extend(rows[1])
        return sampler

    first, fresh = sampler_of(has_served=True), sampler_of(has_served=False)
    assert (first.state_dict(), fresh.state_dict()) == ({"new_times": 6}, {"new_times": 18})
    fresh.load_state_dict(first.state_dict())
    fresh.replay.load_state_dict(first.replay.state_dict(with_rows=False))
    for _ in range(2):
        for one, other in zip(draw(first, 2, 9), draw(fresh, 2, 9), strict=True):
            assert (one is None and other is None) or torch.equal(one, other)
        assert first.state_dict() == fresh.state_dict() == {"new_times": 0}
        first.replay.extend(rows[2])
        fresh.replay.extend(rows[2])


# Under a Trainer


def test_overlap_is_refused_with_lambda_returns(make_data):
    with pytest.raises(ValueError, match="overlap=True: lambda-returns"):
        make_data(overlap=True, sampler=LambdaReturns())


def test_a_rollout_sets_the_sizes_of_an_iteration():
    sampler = LambdaReturns(rollout_length=10, epochs=3, minibatches=4)
    environment = EnvironmentFactory("CartPole-v1", num_envs=6)
    data = ReplayDataModule(environment, sampler=sampler)
    pace = data.pace
    sizes = (pace.env_steps_per_iteration, pace.updates_per_iteration, pace.batch_size)
    assert sizes == (60, 12, 15)
    assert data.replay_config.capacity >= 6 * 23


@pytest.mark.parametrize(
    "scripts",
    [
        pytest.param([episodes(1)], id="one"),
        pytest.param([episodes(1), episodes(1), episodes(1)], id="all short"),
        pytest.param([episodes(1), episodes(40)], id="short and long"),
        pytest.param([episodes(1)] * 5 + [episodes(40)], id="many short and a long"),
        pytest.param([episodes(2), episodes(3, 1), episodes(7)], id="uneven"),
    ],
)
@pytest.mark.parametrize("rollout_length", [1, 2, 5])
@pytest.mark.parametrize("frame_stack", [1, 4, 6])
def test_no_step_is_lost_between_rollouts(scripts, rollout_length, frame_stack, tmp_path):
    """Every step is learned from in exactly one iteration, with its whole frame stack."""
    environment = EnvironmentFactory(scripted_vector(scripts), frame_stack=frame_stack)
    sampler = LambdaReturns(rollout_length=rollout_length, epochs=4, minibatches=1)
    data = ReplayDataModule(
        environment,
        sampler=sampler,
        env_steps_per_epoch=12 * rollout_length * len(scripts),
        collection=CollectionConfig(warmup_env_steps=0),
    )
    times_served: Counter[tuple[int, ...]] = Counter()

    for iteration in iterations_of(data, RandomValues(), tmp_path):
        observation = iteration.transitions.observation.flatten(0, 1).int()
        stacks = observation if frame_stack > 1 else observation.unsqueeze(1)
        for stack in {tuple(map(tuple, stack)) for stack in stacks.tolist()}:
            env, episode, step = stack[-1]
            steps = [max(0, step - back) for back in range(frame_stack)][::-1]
            assert stack == tuple((env, episode, step) for step in steps)
            times_served[stack[-1]] += 1
    assert set(times_served.values()) == {1}
    for env, script in enumerate(scripts):
        steps = sorted(place[1:] for place in times_served if place[0] == env)
        assert steps == first_steps(script, len(steps))
