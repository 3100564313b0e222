"""The replay ring against its naive twin, and the defects that rings are known for by name."""

from __future__ import annotations

from operator import itemgetter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.naive_replay import NaiveReplay, assert_transition_is, chunks, scripts_of_envs
from support.scripted_env import episodes, scripted_rows, spec_of
from support.scripted_rings import places_sampled, ring_of, transition_from

from lightning_dqn.environments.spec import EnvironmentSpec
from lightning_dqn.replay.ring import ReplayBuffer
from lightning_dqn.replay.storage import ReplayConfig
from lightning_dqn.schedules import LinearSchedule
from lightning_dqn.system.seeding import generators_kept
from lightning_dqn.transitions import NO_ACTION, Rows

# The twin


@settings(max_examples=300, deadline=None)
@given(
    scripts=scripts_of_envs,
    num_times=st.integers(1, 40),
    room=st.integers(1, 14),
    uneven=st.integers(0, 2),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    gamma=st.sampled_from([0.9, 1.0, 0.0, -1.0, -0.5, 1, -1]),
    n_step=st.integers(1, 5),
    frame_stack=st.integers(1, 3),
    dtype=st.sampled_from(["float32", "uint8", "bool", "int64"]),
    masked=st.booleans(),
    lives=st.booleans(),
    clip=st.sampled_from([None, 0.5, 1.0]),
    sequence=st.sampled_from([None, 1, 2, 5]),
)
def test_the_ring_has_the_starts_and_transitions_of_its_naive_twin(
    scripts, num_times, room, uneven, sizes, gamma, n_step, frame_stack, dtype, masked, lives,
    clip, sequence,
):  # fmt: skip
    num_envs, kept = len(scripts), frame_stack + room
    spec = spec_of(dtype, masked=masked, frame_stack=frame_stack, has_life_losses=lives)
    capacity = max(2, kept * num_envs - min(uneven, num_envs - 1))
    reading: Any = {"gamma": gamma, "n_step": n_step, "reward_clip": clip}
    reading["sequence_length"] = sequence
    ring = ReplayBuffer(spec, num_envs, ReplayConfig(capacity, **reading))
    twin = NaiveReplay(num_envs, kept, frame_stack=frame_stack, **reading)
    for part in chunks(scripted_rows(scripts, num_times, spec), [min(s, kept) for s in sizes]):
        ring.extend(part)
        twin.extend(part)
    expected = twin.starts()
    cells = ring.start_cells()
    assert sorted(cells.tolist()) == sorted(expected)
    assert ring.num_starts == len(expected)
    transitions = ring.transitions_at(cells)
    assert transitions.weight is None
    for i, cell in enumerate(cells.tolist()):
        assert_transition_is(transitions, i, expected[cell])


@settings(max_examples=60, deadline=None)
@given(
    scripts=scripts_of_envs,
    num_times=st.integers(4, 40),
    room=st.integers(3, 14),
    shortest=st.integers(1, 4),
    more=st.integers(1, 3),
    gamma=st.sampled_from([0.9, -0.5]),
    frame_stack=st.integers(1, 3),
)
def test_each_sample_of_a_range_is_the_twins_transition_of_some_length(
    scripts, num_times, room, shortest, more, gamma, frame_stack
):
    num_envs, kept, longest = len(scripts), frame_stack + room, shortest + more
    spec = spec_of(masked=True, frame_stack=frame_stack)
    config = ReplayConfig(kept * num_envs, gamma=gamma, n_step=[shortest, longest])
    ring = ReplayBuffer(spec, num_envs, config)
    twin = NaiveReplay(num_envs, kept, gamma=gamma, n_step=1, frame_stack=frame_stack)
    for part in chunks(scripted_rows(scripts, num_times, spec), [3]):
        ring.extend(part)
        twin.extend(part)
    by_length = [twin.starts(n) for n in range(shortest, longest + 1)]
    cells = ring.start_cells()
    transitions = ring.transitions_at(cells)
    for i, cell in enumerate(cells.tolist()):
        reward, discount = float(transitions.reward[i]), float(transitions.discount[i])
        possible = [
            of_length[cell]
            for of_length in by_length
            if (reward, discount)
            == pytest.approx((of_length[cell].reward, of_length[cell].discount), abs=1e-5)
        ]
        assert possible
        frames = [expected.next_observation.tolist() for expected in possible]
        assert transitions.next_observation[i].tolist() in frames


def test_starts_come_oldest_first():
    ring = ring_of([episodes(3), episodes(2, 5)], 17, keeps=8)
    age = (ring.start_cells() // 2 - ring._cursor) % 8
    assert age.tolist() == sorted(age.tolist())


# Which rows are starts


def test_rows_of_final_observations_are_never_sampled():
    ring = ring_of([episodes(2), episodes(3)], 20)
    ends = {0: 2, 1: 3}
    assert all(step < ends[env] for env, _, step in places_sampled(ring))
    assert (ring.sample(4, 500).action >= 0).all()


def test_every_row_with_an_action_and_a_successor_is_sampled():
    ring = ring_of([episodes(2), episodes(3)], 7)
    assert places_sampled(ring) == {
        *((0, 0, step) for step in (0, 1)),
        *((0, 1, step) for step in (0, 1)),
        *((1, 0, step) for step in (0, 1, 2)),
        *((1, 1, step) for step in (0, 1)),  # (1, 1, 2) is the newest
    }


def test_a_full_ring_keeps_its_oldest_row_as_a_start():
    ring = ring_of([episodes(100)], 12, keeps=5)
    assert places_sampled(ring) == {(0, 0, step) for step in (7, 8, 9, 10)}


def test_a_full_ring_with_stacks_leaves_out_only_rows_whose_stack_is_overwritten():
    spec = spec_of(frame_stack=3)
    ring = ring_of([episodes(100)], 12, keeps=6, spec=spec)
    assert places_sampled(ring) == {(0, 0, step) for step in (8, 9, 10)}


def test_a_ring_that_is_not_full_has_all_stacks():
    ring = ring_of([episodes(100)], 5, keeps=6, spec=spec_of(frame_stack=3))
    assert places_sampled(ring) == {(0, 0, step) for step in (0, 1, 2, 3)}
    assert transition_from(ring, 0, 0, 0).observation.tolist() == [[0, 0, 0]] * 3


def test_unequal_episodes_of_many_environments_are_each_their_own():
    lengths = range(1, 9)
    ring = ring_of([episodes(n) for n in lengths], 60, keeps=31, n_step=3)
    every = ring.transitions_at(ring.start_cells())
    assert torch.equal(every.observation[:, :2], every.next_observation[:, :2])
    ahead = every.next_observation[:, 2] - every.observation[:, 2]
    assert ahead.min() >= 1
    assert ahead.max() == 3


def test_the_ring_wraps_without_joining_its_ends():
    ring = ring_of([episodes(4)], 23, keeps=7, chunk=3)
    every = ring.transitions_at(ring.start_cells())
    assert torch.equal(every.next_observation[:, 1], every.observation[:, 1])
    assert torch.equal(every.next_observation[:, 2], every.observation[:, 2] + 1)


def test_one_extend_or_many_make_the_same_ring():
    whole = ring_of([episodes(3), episodes(5)], 20, n_step=2)
    piecewise = ring_of([episodes(3), episodes(5)], 20, n_step=2, chunk=1)
    assert torch.equal(whole.start_cells(), piecewise.start_cells())
    for one, other in zip(whole.sample(2, 50), piecewise.sample(2, 50), strict=True):
        assert (one is None and other is None) or torch.equal(one, other)


# What samplers are told


def test_what_is_told_of_writes_covers_them_and_never_crosses_the_end():
    ring = ReplayBuffer(spec_of(), 2, ReplayConfig(10))
    told: list[tuple[int, int]] = []
    ring.after_write.append(lambda begin, end: told.append((begin, end)))
    for part in chunks(scripted_rows([episodes(3)] * 2, 16, spec_of()), [3, 4, 5, 4]):
        ring.extend(part)
    assert told == [(0, 3), (3, 5), (0, 2), (2, 5), (0, 2), (2, 5), (0, 1)]


def test_what_is_told_of_a_write_is_stored_already():
    ring = ReplayBuffer(spec_of(), 1, ReplayConfig(5))
    seen: list[list[float]] = []
    ring.after_write.append(
        lambda begin, end: seen.append(ring.read("observation", slice(begin, end))[:, 2].tolist())
    )
    for part in chunks(scripted_rows([episodes(100)], 7, spec_of()), [4, 3]):
        ring.extend(part)
    assert seen == [[0, 1, 2, 3], [4], [5, 6]]


@pytest.mark.parametrize("stored", [3, 5, 8])
def test_the_newest_cells_come_oldest_first_and_are_never_more_than_stored(stored):
    ring = ring_of([episodes(100)] * 2, stored, keeps=5, chunk=1)
    for wanted in (0, 1, 4, 9):
        cells = ring.newest_cells(wanted)
        assert cells.shape == (min(wanted, stored, 5), 2)
        places = ring.read("observation", cells)[..., [0, 2]].tolist()
        first = stored - len(cells)
        assert places == [[[env, step] for env in (0, 1)] for step in range(first, stored)]


def test_observations_of_any_rows_are_stacked():
    ring = ring_of([episodes(100)], 9, keeps=5, spec=spec_of(frame_stack=3), chunk=1)
    newest = ring.observations(ring.newest_cells(1).flatten())
    assert newest.tolist() == [[[0, 0, 6], [0, 0, 7], [0, 0, 8]]]
    incomplete = ring.oldest_incomplete_times()
    assert ring.read("observation", torch.from_numpy(incomplete))[:, 2].tolist() == [4, 5]


# Chains of n steps


def test_gamma_and_n_step_may_change_between_samples():
    ring = ring_of([episodes(6)], 12, n_step=1, gamma=0.5)
    assert transition_from(ring, 0, 0, 0).discount.item() == 0.5
    ring.gamma, ring.n_step = -0.5, 2
    first = transition_from(ring, 0, 0, 0)
    assert (first.reward.item(), first.discount.item()) == (1 - 0.5 * 2, 0.25)
    assert first.next_observation.tolist() == [0, 0, 2]


def lengths_drawn(ring: ReplayBuffer, draws: int) -> list[int]:
    """Return how often each chain length 1, 2, ... comes in a ring of one endless episode."""
    sample = ring.sample(1, draws)
    steps = (sample.next_observation[0, :, 2] - sample.observation[0, :, 2]).long()
    uncut = sample.observation[0, :, 2] < 100
    return torch.bincount(steps[uncut], minlength=6)[1:].tolist()


def test_all_lengths_of_a_range_are_equally_frequent():
    ring = ring_of([episodes(120)], 110, n_step=[2, 5], seed=3)
    none, *counts = lengths_drawn(ring, 8_000)
    assert none == 0
    expected = sum(counts) / 4
    chi_square = sum((count - expected) ** 2 / expected for count in counts)
    assert chi_square < 16.3, "the 99.9 % quantile of 3 degrees of freedom"


def test_lengths_are_drawn_by_the_rings_own_generator():
    def discount(seed: int) -> torch.Tensor:
        with generators_kept():
            torch.manual_seed(seed)
            before = torch.get_rng_state()
            found = ring_of([episodes(120)], 110, n_step=[1, 4], gamma=0.5).sample(3, 8).discount
            assert torch.equal(torch.get_rng_state(), before)
        return found

    assert torch.equal(discount(1), discount(2))
    assert len(discount(1).unique()) > 1


def test_a_range_of_one_length_draws_nothing():
    fixed, ranged = (ring_of([episodes(120)], 110, n_step=n) for n in (3, [3, 3]))
    assert torch.equal(fixed.sample(2, 50).reward, ranged.sample(2, 50).reward)
    assert torch.equal(fixed.generator.get_state(), ranged.generator.get_state())


def test_schedules_of_gamma_and_n_step_follow_env_steps():
    gamma, n_step = LinearSchedule(0.5, 0.9, 100), LinearSchedule(5, 1, 100)
    ring = ring_of([episodes(120)], 110, gamma=gamma, n_step=n_step)
    assert (ring.gamma, ring.n_step) == (0.5, (5, 5))
    ring.follow_schedules(60)
    assert ring.gamma == pytest.approx(0.74)
    assert ring.n_step == (3, 3), "5 - 0.6 * 4 = 2.6"
    assert set(np.flatnonzero(lengths_drawn(ring, 200))) == {2}, "chains of 3"
    ring.follow_schedules(1_000)
    assert (ring.gamma, ring.n_step) == (pytest.approx(0.9), (1, 1))


# Masks and types


def test_the_mask_is_that_of_the_next_state():
    rows = scripted_rows([episodes(5)], 8, spec_of(masked=True))
    ring = ring_of([episodes(5)], 8, spec=spec_of(masked=True), n_step=2)
    mask = transition_from(ring, 0, 0, 0).next_action_mask
    assert rows.action_mask is not None
    assert mask.tolist() == rows.action_mask[2, 0].tolist()
    assert mask.tolist() != rows.action_mask[1, 0].tolist()


def test_the_mask_of_the_state_itself_is_there_too():
    rows = scripted_rows([episodes(5)], 8, spec_of(masked=True))
    ring = ring_of([episodes(5)], 8, spec=spec_of(masked=True), n_step=2)
    mask = transition_from(ring, 0, 0, 1).action_mask
    assert rows.action_mask is not None
    assert mask.tolist() == rows.action_mask[1, 0].tolist()


def test_no_mask_is_made_up_where_the_environment_has_none():
    sample = ring_of([episodes(5)], 8).sample(1, 3)
    assert sample.next_action_mask is None
    assert sample.action_mask is None


def test_uniform_samples_carry_no_weight():
    assert ring_of([episodes(5)], 8).sample(1, 3).weight is None


@pytest.mark.parametrize("dtype", ["float32", "uint8", "bool", "int64"])
@pytest.mark.parametrize("gamma", [0.9, -1])
@pytest.mark.parametrize("n_step", [1, 2])
def test_columns_have_the_types_the_learner_relies_on(dtype, gamma, n_step):
    spec = spec_of(dtype, masked=True)
    batch = ring_of([episodes(3)], 9, spec=spec, gamma=gamma, n_step=n_step).sample(2, 5)
    assert batch.observation.dtype == batch.next_observation.dtype == getattr(torch, dtype)
    assert batch.observation.shape == (2, 5, *spec.observation_shape)
    assert (batch.action.dtype, batch.action.shape) == (torch.int64, (2, 5))
    assert (batch.reward.dtype, batch.reward.shape) == (torch.float32, (2, 5))
    assert (batch.discount.dtype, batch.discount.shape) == (torch.float32, (2, 5))
    assert batch.next_action_mask is not None
    assert (batch.next_action_mask.dtype, batch.next_action_mask.shape) == (torch.bool, (2, 5, 4))
    assert batch.action_mask is not None
    assert (batch.action_mask.dtype, batch.action_mask.shape) == (torch.bool, (2, 5, 4))


def test_float64_observations_are_stored_as_float32():
    rows = scripted_rows([episodes(3)], 9, spec_of())
    ring = ReplayBuffer(spec_of(), 1, ReplayConfig(20))
    ring.extend(rows._replace(observation=rows.observation.astype(np.float64)))
    assert ring.sample(1, 3).observation.dtype == torch.float32


def test_minibatches_share_the_memory_of_the_sample():
    sample = ring_of([episodes(3)], 9).sample(3, 5)
    for u, minibatch in enumerate(sample.minibatches()):
        assert torch.equal(minibatch.observation, sample.observation[u])
        assert minibatch.reward.data_ptr() == sample.reward[u].data_ptr()


# Sampling


def test_sampling_is_uniform_over_starts():
    ring = ring_of([episodes(1, 4), episodes(7)], 57, keeps=29, seed=3)
    draws, starts = 40_000, ring.num_starts
    observation = ring.sample(8, draws // 8).observation.flatten(0, 1)
    _, counts = torch.unique(observation, dim=0, return_counts=True)
    assert len(counts) == starts
    expected = draws / starts
    chi_square = ((counts - expected) ** 2 / expected).sum().item()
    freedom = starts - 1
    assert abs(chi_square - freedom) < 4 * (2 * freedom) ** 0.5


def test_each_of_the_minibatches_is_another_draw():
    observation = ring_of([episodes(50)], 50).sample(2, 40).observation
    assert not torch.equal(observation[0], observation[1])


def test_the_same_seed_draws_the_same_samples():
    one, same, other = (ring_of([episodes(50)], 50, seed=s).sample(2, 40) for s in (1, 1, 2))
    assert torch.equal(one.observation, same.observation)
    assert not torch.equal(one.observation, other.observation)


def test_the_generator_state_continues_the_draws():
    ring = ring_of([episodes(50)], 50)
    state = ring.state_dict(with_rows=False)
    drawn = ring.sample(1, 40).observation.clone()
    ring.sample(1, 40)
    ring.load_state_dict(state)
    assert torch.equal(ring.sample(1, 40).observation, drawn)


def test_the_generator_state_of_another_kind_of_device_changes_no_draw():
    ring, same = (ring_of([episodes(50)], 50) for _ in range(2))
    of_cuda = {"generator": torch.zeros(16, dtype=torch.uint8)}
    ring.load_state_dict({**ring.state_dict(with_rows=False), **of_cuda})
    assert torch.equal(ring.sample(1, 40).observation, same.sample(1, 40).observation)


@pytest.mark.parametrize("num_times", [0, 1])
def test_sampling_before_a_row_has_a_successor_raises(num_times):
    ring = ReplayBuffer(spec_of(), 2, ReplayConfig(20))
    ring.extend(chunks(scripted_rows([episodes(3)] * 2, 2, spec_of()), [1])[0]) if num_times else 0
    assert ring.num_starts == 0
    assert len(ring.start_cells()) == 0
    with pytest.raises(ValueError, match="holds no transition yet"):
        ring.sample(1, 1)


# Sizes


def test_of_more_rows_at_once_than_the_ring_has_the_newest_stay():
    rows = scripted_rows([episodes(3), episodes(2)], 23, spec_of())
    at_once, in_parts = (ReplayBuffer(spec_of(), 2, ReplayConfig(8)) for _ in range(2))
    at_once.extend(rows)
    for part in chunks(rows, [1]):
        in_parts.extend(part)
    assert at_once.num_rows == 8
    assert torch.equal(at_once.start_cells(), in_parts.start_cells())
    cells = at_once.newest_cells(4)
    for column in ("observation", "action", "reward"):
        assert torch.equal(at_once.read(column, cells), in_parts.read(column, cells))


def test_a_capacity_too_small_for_a_stack_and_its_successor_is_refused():
    spec = spec_of(frame_stack=3)
    with pytest.raises(ValueError, match=r"capacity=6: .* at least 8"):
        ReplayBuffer(spec, 2, ReplayConfig(6))
    assert ReplayBuffer(spec, 2, ReplayConfig(8)).num_times == 4


def test_the_capacity_is_rounded_up_to_whole_rows_of_environments():
    ring = ring_of([episodes(3)] * 3, 9, keeps=4)
    assert ring.num_rows == 12
    assert ReplayBuffer(spec_of(), 3, ReplayConfig(10)).num_times == 4


def test_rows_of_an_environment_with_other_columns_are_refused():
    ring = ring_of([episodes(3)], 8, spec=spec_of(has_life_losses=True))
    other = ReplayBuffer(spec_of(), 1, ReplayConfig(8))
    with pytest.raises(ValueError, match=r"^replay: .* differ in life_lost; continue with"):
        other.load_state_dict(ring.state_dict(with_rows=True))


def test_stored_rewards_stay_as_they_are():
    ring = ring_of([episodes(3)], 4, reward_clip=1.0)
    cells = ring.newest_cells(4)[:, 0]
    assert ring.read("reward", cells).tolist() == [1.0, 2.0, 3.0, 0.0]
    assert ring.cells.reward(cells).tolist() == [1.0, 1.0, 1.0, 0.0]


@pytest.mark.parametrize("block", [1, 2, 3, 5])
def test_no_transition_crosses_an_end_that_only_a_final_observation_tells_of(block: int) -> None:
    """A lost actor's episode is open in its last row, wherever blocks of rows are parted."""
    final = NO_ACTION
    times = np.arange(5, dtype=np.float32).reshape(5, 1, 1)
    rows = Rows(
        observation=times,
        action=np.array([[0], [0], [final], [0], [0]]),
        reward=np.array([[1.0], [2.0], [0.0], [4.0], [8.0]], np.float32),
        terminated=np.zeros((5, 1), bool),
        truncated=np.zeros((5, 1), bool),
        action_mask=None,
    )
    spec = EnvironmentSpec((1,), "float32", num_actions=2)
    ring = ReplayBuffer(spec, 1, ReplayConfig(capacity=20, gamma=0.5, n_step=3))
    for first in range(0, 5, block):
        ring.extend(rows.each(itemgetter(slice(first, first + block))))
    found = ring.transitions_at(torch.arange(2))
    assert found.reward.tolist() == [1 + 0.5 * 2, 2]
    assert found.discount.tolist() == [0.25, 0.5]
    assert found.next_observation.flatten().tolist() == [2, 2]
    assert ring.read("truncated", slice(0, 5)).flatten().tolist() == [False, True, *[False] * 3]
